(** * The statements of docs/theory.md, proved

    Each theorem has the name and the words of its section there. L is the number of steps, the
    length of the longest path, and the items are the entries of level L. (All but T16 hold for any
    L.) [firstn t y] is y_<=t, the first t tokens of y: y itself once it has ended. *)
From Coq Require Import List Bool Arith Lia QArith Lqa Permutation Sorted.
From Beargrad Require Import search.
Import ListNotations.
Open Scope nat_scope.

Lemma count_zero (f : node -> bool) l : (forall v, In v l -> f v = false) -> count f l = 0.
Proof. unfold count. induction l as [|v l IH]; cbn; intros H; auto. rewrite H by auto. auto. Qed.

Lemma count_split (f g : node -> bool) l : count f l =
  count (fun v => f v && g v) l + count (fun v => f v && negb (g v)) l.
Proof. unfold count. induction l as [|v l IH]; cbn; auto. destruct (f v), (g v); cbn; lia. Qed.

Lemma nth_firstn (l : list node) n r : r < n -> nth_error (firstn n l) r = nth_error l r.
Proof. rewrite nth_error_firstn. now destruct (Nat.ltb_spec r n); [|lia]. Qed.

Section Trie.

(** A trie: the children of a node are distinct tokens. *)
Variable children : node -> list nat.
Hypothesis distinct : forall u, NoDup (children u).
Variable L : nat.
Notation items := (level children L).
Notation siblings := (siblings children).

(** ** Any scores *)

Section Scores.
Variable score : node -> Q.
Variable B : nat.
Notation beam := (beam children score B).
Notation pool := (pool children score B).
Notation level := (level children).
Notation ahead := (ahead score).

(** T3: every prefix of y is among the best B of its level => y is returned. *)
Theorem T3 y : In y items ->
  (forall t, 1 <= t <= L -> rank score (level t) (firstn t y) < B) ->
  In y (beam L).
Proof.
  intros Hy H. apply kept; auto. intros s Hs _.
  apply Nat.le_lt_trans with (rank score (level (S s)) (firstn (S s) y)); [|apply H; lia].
  apply rank_incl; auto with search.
Qed.

(** Entry v of level t leads to an item that comes before y: v is z_<=t of such an item z. *)
Definition leads_ahead y t v :=
  existsb (fun z => ahead z y && if node_dec (firstn t z) v then true else false) items.

(** T13': at each t, the items that come before y plus the entries of the pool that come before
    y_<=t and lead to none of them are fewer than B => y is returned. *)
Theorem T13' y : In y items ->
  (forall t, 1 <= t <= L -> rank score items y +
    count (fun v => ahead v (firstn t y) && negb (leads_ahead y t v)) (pool t) < B) ->
  In y (beam L).
Proof.
  intros Hy H. apply kept; auto. intros s Hs _. specialize (H (S s) ltac:(lia)).
  eapply Nat.le_lt_trans; [|exact H]. set (w := firstn (S s) y).
  unfold rank. rewrite (count_split (fun v => ahead v w) (leads_ahead y (S s))).
  apply Nat.add_le_mono_r. unfold count. rewrite <- (length_map (firstn (S s)) (filter _ items)).
  apply NoDup_incl_length; [apply NoDup_filter; auto with search|].
  intros v [_ [_ Hv]%andb_true_iff]%filter_In. apply existsb_exists in Hv as [z [Hz Hg]].
  apply andb_true_iff in Hg as [Hg E]. destruct node_dec as [<-|] in E; [|easy].
  apply in_map. now apply filter_In.
Qed.

(** T13: y in the exact top B, and each entry of a pool that comes before y_<=t leads to an item
    that comes before y => y is returned. *)
Theorem T13 y : In y (best score B items) ->
  (forall t v, 1 <= t <= L -> In v (pool t) -> ahead v (firstn t y) = true ->
    exists z, In z items /\ firstn t z = v /\ ahead z y = true) ->
  In y (beam L).
Proof.
  intros [Hy Hr]%in_best H; auto with search. apply T13'; auto. intros t Ht.
  rewrite (count_zero _ (pool t)); [lia|]. intros v Hv.
  destruct (ahead v (firstn t y)) eqn:E; cbn; auto.
  destruct (H t v Ht Hv E) as [z [Hz [Hl Ha]]].
  apply negb_false_iff, existsb_exists. exists z. rewrite Ha. now destruct node_dec.
Qed.

(** T14: scores in which the best child of a node has its parent's score: beam search of every width
    returns the exact top B, in order. *)
Theorem T14 : 1 <= B ->
  (forall u token, In token (children u) -> (score (u ++ [token]) <= score u)%Q) ->
  (forall u, children u <> [] ->
    exists token, In token (children u) /\ (score (u ++ [token]) == score u)%Q) ->
  beam L = best score B items.
Proof.
  intros HB falls reaches.
  assert (forall t v, t <= L -> In v (level t) ->
    exists z, In z items /\ firstn t z = v /\ (score z == score v)%Q) as Hz.
  { intros t v Ht Hv. induction Ht as [|n Ht IH].
    - exists v. rewrite (level_firstn children) by auto. split; [|split]; auto. lra.
    - destruct IH as [z [Hz [Hp Hs]]].
      enough (exists w, In w (expand children z) /\ (score w == score z)%Q) as [w [Hw E]].
      { exists w. split; [apply in_flat_map; eauto|split; [|lra]].
        rewrite <- Hp, <- (expand_parent children n z w Hz Hw). now rewrite firstn_prefix. }
      unfold expand. destruct (children z) as [|a l] eqn:E.
      + exists z. split; [now left|lra].
      + destruct (reaches z) as [b [Hb Hq]]; [now rewrite E|]. exists (z ++ [b]). split; auto.
        exact (in_map (fun token => z ++ [token]) _ _ Hb). }
  assert (forall y, In y (best score B items) -> In y (beam L)) as H.
  { intros y Hb. pose proof Hb as [Hy _]%in_best; auto with search. apply T13; auto.
    intros t v Ht Hv%pool_level E; auto.
    destruct (Hz t v ltac:(lia) Hv) as [z [Hi [Hp Hs]]]. exists z. split; [|split]; auto.
    pose proof (prefix_score children score t L y falls ltac:(lia) Hy) as Hf.
    apply ahead_spec. apply ahead_spec in E as [E|[E Hb']]; [left; lra|].
    destruct (Qlt_le_dec (score y) (score z)); [auto|right; split; [lra|]].
    rewrite <- (firstn_skipn t z), <- (firstn_skipn t y), Hp.
    apply level_before with children t; auto.
    apply level_prefix with L; auto. lia. }
  rewrite beam_best by auto. apply best_part; auto with search.
  intros v Hv Hr. apply beam_pool, H, in_best; auto with search.
Qed.

(** From here on scores never rise along a path, as probabilities do not. *)
Hypothesis falls : forall u token, In token (children u) -> (score (u ++ [token]) <= score u)%Q.
Notation above_pruned := (above_pruned children score B L).

(** An item that scores above all that was pruned before the last step is in the last pool. *)
Lemma unpruned_item y x : In y items -> (x <= score y)%Q -> above_pruned x -> In y (pool L).
Proof.
  intros Hy Hx Ha. destruct L as [|n]; [exact Hy|]. apply in_pool; auto. split; auto.
  destruct (in_dec node_dec (firstn n y) (beam n)) as [|Hn]; auto.
  apply pruned_somewhere in Hn as [s [Hs Hp]]; auto; [|apply level_prefix with (S n); auto].
  rewrite firstn_prefix in Hp by lia. apply Ha in Hp; [|lia].
  pose proof (prefix_score children score s (S n) y falls ltac:(lia) Hy). lra.
Qed.

(** So are the first n of all items, if number n, or one that comes later, scores that much. *)
Lemma unpruned_best n x : n <= B -> In x items -> n <= S (rank score items x) ->
  above_pruned (score x) -> firstn n (beam L) = best score n items.
Proof.
  intros HB Hx Hn Ha. destruct n as [|n]; [reflexivity|].
  rewrite beam_best by lia. rewrite <- (best_part score (S n) (pool L) items); auto with search.
  - unfold best. now rewrite firstn_firstn, Nat.min_l by lia.
  - intros v Hv Hr. eapply unpruned_item; eauto.
    destruct (ahead_total score v x) as [H|[->|H]]; [now apply ahead_score|lra|].
    apply (rank_lt _ _ _ _ (level_nodup _ distinct L) Hx) in H. lia.
Qed.

(** T9: returned items with more than any score pruned before the last step are the exact best, in
    order. If y, number n of the beam's list, is such an item, the first n are the best n. *)
Theorem T9 n y : 1 <= B -> 1 <= n ->
  nth_error (beam L) (n - 1) = Some y -> above_pruned (score y) ->
  firstn n (beam L) = best score n items.
Proof.
  intros HB Hn H Ha.
  rewrite beam_best in H by lia. unfold best in H. rewrite nth_error_firstn in H.
  destruct (Nat.ltb_spec (n - 1) B); [|easy].
  apply nth_sort in H as [Hy Hr]; auto with search.
  apply unpruned_best with y; auto; [lia|eapply pool_level; eauto|].
  enough (rank score (pool L) y <= rank score items y) by lia. apply rank_incl; auto with search.
Qed.

(** A list's first k are certified if number k is there and scores above all that was pruned before
    the last step. *)
Definition certified k :=
  exists z, nth_error (beam L) (k - 1) = Some z /\ above_pruned (score z).

(** T15: with x the k-th best of all items, the first k of the beam's list are certified <=> at each
    step t before the last, at most B entries of level t have pi at least P(x), equal ones too. *)
Theorem T15 k x : 1 <= k <= B ->
  nth_error (sort score items) (k - 1) = Some x ->
  certified k <->
  forall t, 1 <= t < L -> count (fun v => Qle_bool (score x) (score v)) (level t) <= B.
Proof.
  intros Hk Hx. split.
  - intros [z [Hz Ha]] t Ht.
    pose proof (nth_firstn (beam L) k (k - 1) ltac:(lia)) as E.
    rewrite (T9 k z), Hz in E by (auto; lia). unfold best in E.
    rewrite nth_firstn, Hx in E by lia. injection E as ->.
    destruct t as [|t]; [lia|].
    apply Nat.le_trans with (length (beam (S t))); [|apply firstn_le_length].
    apply NoDup_incl_length; [apply NoDup_filter; auto with search|].
    intros v [Hv Hs]%filter_In. apply Qle_bool_iff in Hs.
    destruct (in_dec node_dec v (beam (S t))) as [|Hn]; auto.
    apply pruned_somewhere in Hn as [s [Hst Hp]]; auto. apply Ha in Hp; [|lia].
    pose proof (prefix_score children score s (S t) v falls ltac:(lia) Hv). lra.
  - intros Hw.
    assert (forall t v, t < L -> In v (level t) -> (score x <= score v)%Q -> In v (beam t)) as H.
    { intros t v Ht Hv Hs. apply kept; auto. intros s Hst _.
      assert (In (firstn (S s) v) (level (S s))) as Hl by (apply level_prefix with t; auto).
      pose proof (prefix_score children score (S s) t v falls ltac:(lia) Hv).
      eapply Nat.lt_le_trans; [|apply (Hw (S s)); lia].
      apply rank_lt_count; auto with search.
      - apply Qle_bool_iff. lra.
      - intros w Hlt%ahead_score. apply Qle_bool_iff. lra. }
    assert (above_pruned (score x)) as Ha.
    { intros t v Ht [Hp%pool_level Hn]; auto. apply Qnot_le_lt. intros Hs.
      apply Hn, H; auto. lia. }
    exists x. split; auto. rewrite <- (nth_firstn _ k) by lia.
    pose proof Hx as [Hi Hr]%nth_sort; auto with search.
    rewrite (unpruned_best k x); auto; try lia. unfold best. now rewrite nth_firstn by lia.
Qed.

(** *** Best-first search

    C has the items that the search has reached, and its open prefixes; D has the prefixes that it
    has expanded. It expands the best open prefix, as long as fewer than k of the items that it has
    reached score strictly above that prefix. *)
Definition better_item u z :=
  match children z with [] => negb (Qle_bool (score z) (score u)) | _ => false end.

Inductive best_first (k : nat) : list node -> list node -> Prop :=
  | begin : best_first k [root] []
  | expand_best C D u : best_first k C D -> In u C -> children u <> [] ->
      (forall w, In w C -> children w <> [] -> score w <= score u)%Q ->
      count (better_item u) C < k ->
      best_first k (siblings u ++ remove node_dec u C) (u :: D).

(** Every path of level L is an item: nothing is longer. *)
Hypothesis longest : forall y, In y items -> children y = [].

Lemma best_first_covers k C D y : best_first k C D -> In y items -> exists t, In (firstn t y) C.
Proof.
  intros H Hy. induction H as [|C D u H [t IH] Hu Hc _ _]; [exists 0; now left|].
  destruct (node_dec (firstn t y) u) as [E|E].
  - destruct (Nat.le_gt_cases (length y) t) as [Ht|Ht].
    + rewrite firstn_all2 in E by auto. subst u. now rewrite longest in Hc.
    + exists (S t). apply in_app_iff. left. rewrite <- E.
      now apply siblings_expand with L.
  - exists t. apply in_app_iff. right. now apply in_in_remove.
Qed.

(** T16, in part: best-first search expands only prefixes with pi at least the k-th best P. *)
Theorem T16_best_first k x C D u : 1 <= k -> nth_error (sort score items) (k - 1) = Some x ->
  best_first k C D -> In u D -> (score x <= score u)%Q.
Proof.
  intros Hk Hx H. induction H as [|C D w H IH Hw Hc Hbest Hfew]; [easy|].
  intros [<-|]; auto. clear IH. apply Qnot_lt_le. intros Hlt.
  apply (Nat.lt_irrefl k). eapply Nat.le_lt_trans; [|exact Hfew].
  pose proof Hx as [Hi Hr]%nth_sort; auto with search.
  apply Nat.le_trans with (count (fun z => Qle_bool (score x) (score z)) items).
  - enough (rank score items x < count (fun z => Qle_bool (score x) (score z)) items) by lia.
    apply rank_lt_count; auto with search.
    + apply Qle_bool_iff. lra.
    + intros v Ha%ahead_score. now apply Qle_bool_iff.
  - apply count_incl; auto with search. intros z Hz Hs%Qle_bool_iff.
    destruct (best_first_covers _ _ _ _ H Hz) as [t Ht].
    destruct (Nat.le_gt_cases (length z) t) as [Hl|Hl].
    + rewrite firstn_all2 in Ht by auto. split; auto. unfold better_item.
      rewrite longest, negb_true_iff, <- not_true_iff_false, Qle_bool_iff by auto. lra.
    + exfalso. destruct (siblings_expand children L z t Hz Hl) as [HL [Hs' _]].
      assert (score (firstn t z) <= score w)%Q.
      { apply Hbest; auto. intros E. unfold search.siblings in Hs'. now rewrite E in Hs'. }
      pose proof (prefix_score children score t L z falls ltac:(lia) Hz). lra.
Qed.

End Scores.

(** ** Probabilities

    [q u token] is the probability of a child of u, and [pi q u] the product of q along u's path.
    [own q u] is the probability of u's last token. *)

Section Probabilities.
Variable q : node -> nat -> Q.
Hypothesis nonnegative : forall u token, (0 <= q u token)%Q.
Variable B : nat.
Notation pi := (pi q).
Notation own := (own q).

Lemma pi_snoc u token : (pi (u ++ [token]) == pi u * q u token)%Q.
Proof.
  enough (forall w, pi_from q w (u ++ [token]) == pi_from q w u * q (w ++ u) token)%Q as H
    by exact (H []).
  induction u as [|a u IH]; intros w; cbn.
  - rewrite app_nil_r. ring.
  - rewrite IH, <- app_assoc. cbn. ring.
Qed.

(** A child's score is its parent's times its own probability. *)
Lemma pi_sibling u v : In v (siblings u) -> (pi v == pi u * own v)%Q.
Proof.
  intros [token [<- _]]%in_map_iff. unfold search.own.
  rewrite removelast_last, last_last. apply pi_snoc.
Qed.

(** T1: y returned => each y_t is among the best B of its siblings.
    It needs pi(y_<t) > 0: below a prefix of probability 0 all scores are equal (R10). *)
Theorem T1 y t : In y (beam children pi B L) -> 1 <= t <= length y ->
  (0 < pi (firstn (t - 1) y))%Q ->
  In (firstn t y) (best own B (siblings (firstn (t - 1) y))).
Proof.
  intros Hy Ht Hpos. pose proof (beam_level _ distinct _ _ _ _ Hy) as Hl.
  destruct t as [|t]; [lia|]. cbn [Nat.sub] in *. rewrite Nat.sub_0_r in *.
  destruct (siblings_expand children L y t Hl ltac:(lia)) as [HL [Hs He]].
  apply in_best; auto with search. split; auto.
  eapply (search_prefix _ _ _ _ (beam_is_a_search _ distinct _ _) (S t)) in Hy as [_ Hy]; auto.
  apply in_beam in Hy as [_ [Hp Hr]]; auto. rewrite firstn_prefix in Hp by lia.
  eapply Nat.le_lt_trans; [|exact Hr]. apply count_incl; auto with search.
  intros v Hv Ha. split.
  - apply in_flat_map. exists (firstn t y). now rewrite He.
  - apply ahead_spec in Ha. apply ahead_spec.
    rewrite (pi_sibling _ _ Hv), (pi_sibling _ _ Hs). destruct Ha as [Ha|[Ha Hb]]; [left|right].
    + now apply Qmult_lt_l.
    + now rewrite Ha.
Qed.

Definition more_probable v w := negb (Qle_bool (own w) (own v)).

Lemma more_probable_spec v w : more_probable v w = true <-> (own v < own w)%Q.
Proof.
  unfold more_probable. rewrite negb_true_iff, <- not_true_iff_false, Qle_bool_iff.
  split; [apply Qnot_le_lt|apply Qlt_not_le].
Qed.

(** Delta_t > 0, that is, beta_t > q(y_t): at least B siblings are strictly more probable. *)
Lemma beta_spec u v : 1 <= B -> In v (siblings u) ->
  (own v < beta q children B u)%Q <-> B <= count (more_probable v) (siblings u).
Proof.
  intros HB Hv. unfold beta. set (ranked := sort own (siblings u)).
  set (m := Nat.min B (length ranked) - 1). set (w := nth m ranked root).
  assert (length ranked = length (siblings u)) as Hn
    by apply Permutation_length, sort_permutation.
  assert (count (more_probable v) (siblings u) < length ranked) as Hc.
  { rewrite Hn. apply (NoDup_incl_length (l := v :: filter _ (siblings u))).
    - constructor; [|apply NoDup_filter; auto with search].
      rewrite filter_In, more_probable_spec. intros []. lra.
    - intros x [<-|[]%filter_In]; auto. }
  assert (nth_error ranked m = Some w) as Hw by (apply nth_error_nth'; lia).
  apply nth_sort in Hw as [Hw Hr]; auto with search. split.
  - intros Hlt. enough (rank own (siblings u) w < count (more_probable v) (siblings u)) by lia.
    apply rank_lt_count; auto with search.
    + now apply more_probable_spec.
    + intros x Ha%ahead_score. apply more_probable_spec. lra.
  - intros Hmany. apply Qnot_le_lt. intros Hle.
    enough (count (more_probable v) (siblings u) <= rank own (siblings u) w) by lia.
    apply count_incl; auto with search. intros x Hx Hlt%more_probable_spec. split; auto.
    apply ahead_spec. left. lra.
Qed.

(** T2: Delta_t > 0 and pi(y_<t) > 0 => y is pruned at or before t, however ties are broken. *)
Theorem T2 F y t : 1 <= B -> a_search children pi B F -> In y items -> 1 <= t <= length y ->
  (own (firstn t y) < beta q children B (firstn (t - 1) y))%Q ->
  (0 < pi (firstn (t - 1) y))%Q ->
  ~ In (firstn t y) (F t) /\ ~ In y (F L).
Proof.
  intros HB HF Hy Ht Hb Hpos.
  destruct t as [|t]; [lia|]. cbn [Nat.sub] in *. rewrite Nat.sub_0_r in *.
  destruct (siblings_expand children L y t Hy ltac:(lia)) as [HL [Hs He]].
  pose proof (search_prefix _ _ _ _ HF) as Hp.
  enough (~ In (firstn (S t) y) (F (S t))) as Hn by (split; auto; intros H; now apply Hn, (Hp _ L)).
  intros Hin. apply beta_spec in Hb; auto. destruct (Hp t (S t) _ ltac:(lia) Hin) as [_ Hu].
  rewrite firstn_prefix in Hu by lia.
  destruct HF as [_ HF]. destruct (HF t) as [_ [Hlen Hbest]].
  apply (Nat.lt_irrefl B). eapply Nat.lt_le_trans; [|exact Hlen].
  eapply Nat.le_lt_trans; [exact Hb|].
  apply (NoDup_incl_length (l := firstn (S t) y :: filter _ _)).
  - constructor; [|apply NoDup_filter; auto with search].
    rewrite filter_In, more_probable_spec. intros []. lra.
  - intros w [<-|[Hw Hlt%more_probable_spec]%filter_In]; auto.
    destruct (in_dec node_dec w (F (S t))) as [|Hout]; auto. exfalso.
    assert (In w (flat_map (expand children) (F t))) as Hpool.
    { apply in_flat_map. exists (firstn t y). now rewrite He. }
    specialize (Hbest _ w Hin Hpool Hout).
    rewrite (pi_sibling _ _ Hw), (pi_sibling _ _ Hs) in Hbest.
    apply Qmult_le_l in Hbest; auto. lra.
Qed.

Fixpoint sum (f : node -> Q) l : Q := match l with [] => 0 | v :: l' => f v + sum f l' end.

Lemma sum_app f l l' : (sum f (l ++ l') == sum f l + sum f l')%Q.
Proof. induction l as [|v l IH]; cbn; [ring|]. rewrite IH. ring. Qed.

Lemma sum_in f l v : (forall u, 0 <= f u)%Q -> (0 <= sum f l /\ (In v l -> f v <= sum f l))%Q.
Proof.
  intros Hf. induction l as [|u l [Hl Hv]]; cbn; [easy|]. specialize (Hf u).
  split; [lra|]. intros [->|H]; [|specialize (Hv H)]; lra.
Qed.

(** The probabilities of siblings sum to at most 1, and so do those of a level. *)
Hypothesis mass : forall u, (sum own (siblings u) <= 1)%Q.

Lemma pi_nonnegative u : (0 <= pi u)%Q.
Proof.
  unfold search.pi. generalize root. induction u as [|a u IH]; intros w; cbn; [easy|].
  now apply Qmult_le_0_compat.
Qed.

Lemma expand_mass u : (sum pi (expand children u) <= pi u)%Q.
Proof.
  unfold expand. destruct (children u); [cbn; lra|].
  apply Qle_trans with (pi u * sum own (siblings u))%Q.
  - enough (forall vs, incl vs (siblings u) -> sum pi vs == pi u * sum own vs)%Q as H
      by (rewrite H; [lra|apply incl_refl]).
    induction vs as [|v vs IH]; cbn [sum]; intros Hvs; [ring|].
    apply incl_cons_inv in Hvs as [Hv Hvs]. rewrite IH, (pi_sibling u v) by auto. ring.
  - rewrite <- (Qmult_1_r (pi u)) at 2. rewrite !(Qmult_comm (pi u)).
    apply Qmult_le_compat_r; [apply mass|apply pi_nonnegative].
Qed.

Lemma level_mass t : (sum pi (level children t) <= 1)%Q.
Proof.
  induction t as [|t IH]; cbn [level]; [cbn; lra|].
  apply Qle_trans with (sum pi (level children t)); auto. clear IH.
  induction (level children t) as [|u l IH]; cbn; [lra|].
  rewrite sum_app. pose proof (expand_mass u). lra.
Qed.

(** T4: P(y) > 1/(B+1) => y is returned. *)
Theorem T4 y : In y items -> (1 / inject_Z (Z.of_nat (B + 1)) < pi y)%Q ->
  In y (beam children pi B L).
Proof.
  intros Hy HP. apply T3; auto. intros t Ht. apply Nat.nle_gt. intros Hr.
  set (u := firstn t y) in *. set (enough := fun v => Qle_bool (pi u) (pi v)).
  assert (S B <= count enough (level children t)) as Hc.
  { apply Nat.le_lt_trans with (rank pi (level children t) u); auto.
    apply rank_lt_count; auto with search.
    - apply level_prefix with L; auto. lia.
    - apply Qle_bool_iff, Qle_refl.
    - intros v Ha%ahead_score. now apply Qle_bool_iff. }
  assert (forall l, inject_Z (Z.of_nat (count enough l)) * pi u <= sum pi l)%Q as Hsum.
  { induction l as [|v l IH]; [change (0 * pi u <= 0)%Q; lra|].
    unfold count in *. cbn [filter sum]. pose proof (pi_nonnegative v).
    destruct (enough v) eqn:E; cbn [length]; [|lra].
    apply Qle_bool_iff in E. rewrite Nat2Z.inj_succ. unfold Z.succ. rewrite inject_Z_plus.
    change (inject_Z 1) with 1%Q. lra. }
  specialize (Hsum (level children t)). pose proof (level_mass t) as Hm.
  assert (pi y <= pi u)%Q as Hyu.
  { apply (prefix_score children pi t L y); auto; [|lia].
    intros v token Hv. eapply Qle_trans; [|apply expand_mass].
    apply sum_in; auto using pi_nonnegative. unfold expand. destruct (children v) eqn:E; [easy|].
    rewrite <- E in Hv. exact (in_map (fun token => v ++ [token]) _ _ Hv). }
  apply (Qlt_irrefl (1 / inject_Z (Z.of_nat (B + 1)))). eapply Qlt_le_trans; [exact HP|].
  apply Qle_shift_div_l; [now rewrite <- (Zlt_Qlt 0); lia|].
  apply Qle_trans with (inject_Z (Z.of_nat (count enough (level children t))) * pi u)%Q; [|lra].
  rewrite (Qmult_comm (pi y)).
  apply Qle_trans with (inject_Z (Z.of_nat (B + 1)) * pi u)%Q.
  - rewrite !(Qmult_comm (inject_Z _)). apply Qmult_le_compat_r; auto.
    change 0%Q with (inject_Z 0). rewrite <- Zle_Qle. lia.
  - apply Qmult_le_compat_r; [|apply pi_nonnegative]. rewrite <- Zle_Qle. lia.
Qed.

End Probabilities.
End Trie.
