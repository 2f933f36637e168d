/** Files of interactions as projects publish them, for tests of what reads and trains on them. */

/** A row. A user is such as `A2CX7LUOHB2NDG`, an item such as `B00005N7P0`, as Amazon has them. */
interface Interaction {
  readonly user: string;
  readonly item: string;
  readonly rating: number;
  readonly time: number;
}

/** How a project writes interactions. */
interface InteractionFile {
  readonly what: string;
  readonly name: string;
  /** What `--columns` says, if the file needs it. */
  readonly columns?: { readonly user: string; readonly item: string; readonly time: string };
  write(rows: readonly Interaction[]): string;
}

/** Lines of rows, perhaps after a header. */
function lines(header: string | undefined, rowOf: (row: Interaction) => string, end = "\n") {
  return (rows: readonly Interaction[]): string =>
    [...(header === undefined ? [] : [header]), ...rows.map(rowOf)].map((line) => line + end)
      .join("");
}

/** User, item, rating and time with something between them. */
const joined = (separator: string) => ({ user, item, rating, time }: Interaction): string =>
  [user, item, rating, time].join(separator);

export const INTERACTION_FILES: readonly InteractionFile[] = [
  {
    what: "RecBole",
    name: "shop.inter",
    write: lines(
      "user_id:token\titem_id:token\trating:float\ttimestamp:float",
      ({ user, item, rating, time }) => [user, item, rating.toFixed(1), time.toFixed(1)].join("\t"),
    ),
  },
  {
    what: "MovieLens",
    name: "ratings.csv",
    write: lines("userId,movieId,rating,timestamp", joined(","), "\r\n"),
  },
  { what: "MovieLens 100K", name: "u.data", write: lines(undefined, joined("\t")) },
  { what: "MovieLens 1M", name: "ratings.dat", write: lines(undefined, joined("::")) },
  { what: "Amazon 2014", name: "ratings_Shop.csv", write: lines(undefined, joined(",")) },
  {
    what: "Amazon 2018",
    name: "Shop.csv",
    write: lines(
      undefined,
      ({ user, item, rating, time }) => [item, user, rating.toFixed(1), time].join(","),
    ),
  },
  {
    what: "Amazon 2023",
    name: "Shop.csv",
    write: lines("user_id,parent_asin,rating,timestamp", joined(",")),
  },
  {
    what: "Amazon's reviews of 2014 and 2018",
    name: "Shop_5.json",
    write: lines(undefined, ({ user, item, rating, time }) =>
      JSON.stringify({
        overall: rating,
        verified: true,
        reviewerID: user,
        asin: item,
        style: { "Size:": " Large" },
        reviewText: 'It said "good", then\nit was.',
        unixReviewTime: time,
      })),
  },
  {
    what: "Amazon's reviews of 2023",
    name: "Shop.jsonl",
    write: lines(undefined, ({ user, item, rating, time }) =>
      JSON.stringify({
        rating,
        title: "Good",
        images: [],
        asin: "B00000000X",
        parent_asin: item,
        user_id: user,
        timestamp: time,
      })),
  },
  {
    what: "any columns",
    name: "clicks.tsv",
    columns: { user: "session", item: "sku", time: "at" },
    write: lines("at\tsku\tsession", ({ user, item, time }) => [time, item, user].join("\t")),
  },
];
