/**
 * The controls that several sections share.
 *
 * @module
 */
import { useSignal } from "@preact/signals";
import type { LossOptions } from "beargrad";
import type { ComponentChildren, JSX } from "preact";
import { useId, useLayoutEffect } from "preact/hooks";
import type { LossInfo } from "./protocol.ts";
import { colourOf, doingOf, fixed, signs, terms } from "./words.ts";

/** A term; what it means is shown on hover, on focus and on a tap. */
export function Term(
  { name, children }: { name: keyof typeof terms; children?: ComponentChildren },
): JSX.Element {
  const id = useId();
  const place = useSignal<Readonly<Record<string, string>> | undefined>(undefined);
  const open = (event: Event): void => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const left = `${Math.max(8, Math.min(box.left, innerWidth - 288))}px`;
    place.value = box.bottom + 140 < innerHeight
      ? { left, top: `${box.bottom + 6}px` }
      : { left, bottom: `${innerHeight - box.top + 6}px` };
  };
  const close = (): void => {
    place.value = undefined;
  };
  return (
    <span class="term">
      <button
        type="button"
        aria-describedby={place.value && id}
        onPointerEnter={open}
        onPointerLeave={close}
        onFocus={open}
        onBlur={close}
        onClick={open}
        onKeyDown={(e) => e.key === "Escape" && close()}
      >
        {children ?? name}
      </button>
      {place.value && <span role="tooltip" id={id} style={place.value}>{terms[name]}</span>}
    </span>
  );
}

interface SliderProps {
  readonly label: ComponentChildren;
  /** Stands beside the label. */
  readonly term?: ComponentChildren;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  readonly onInput: (value: number) => void;
}

/** A slider with its value. */
export function Slider({ label, term, value, onInput, ...range }: SliderProps): JSX.Element {
  const id = useId();
  return (
    <div class="slider">
      <span>
        <label for={id}>{label}</label> {term}
      </span>
      <input
        id={id}
        type="range"
        {...range}
        value={value}
        onInput={(e) => onInput(e.currentTarget.valueAsNumber)}
      />
      <span class="number">{range.step === 1 ? value : fixed(value, 2)}</span>
    </div>
  );
}

/** A slider for each flag of some losses. */
export function FlagSliders({ flags, values, onInput }: {
  readonly flags: LossInfo["flags"];
  readonly values: LossOptions;
  readonly onInput: (values: LossOptions) => void;
}): JSX.Element {
  return (
    <>
      {flags.map(({ name, kind, help, ...flag }) => {
        const [sign, min, max] = signs[name];
        return (
          <Slider
            key={name}
            label={
              <>
                <b>{sign}</b> <span class="quiet">{help}</span>
              </>
            }
            value={values[name] ?? flag.default}
            {...{ min, max }}
            step={kind === "integer" ? 1 : 0.05}
            onInput={(value) => onInput({ ...values, [name]: value })}
          />
        );
      })}
    </>
  );
}

/** A loss, or a model of it, that is on or off. */
export function Chip({ loss, isOn, onClick, children = loss }: {
  readonly loss: string;
  readonly isOn: boolean;
  readonly onClick: () => void;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <button
      type="button"
      class="chip"
      aria-pressed={isOn}
      style={{ "--series": colourOf(loss) }}
      title={doingOf(loss)}
      onClick={onClick}
    >
      {children}
    </button>
  );
}

/** The width of an element, as it changes. */
export function useWidth(ref: { readonly current: HTMLElement | null }): number {
  const width = useSignal(960);
  useLayoutEffect(() => {
    const element = ref.current!;
    const observer = new ResizeObserver(() => width.value = element.clientWidth);
    width.value = element.clientWidth;
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return width.value;
}
