(** * The statements of docs/theory.md, proved

    Each theorem has the name and the words of its section there. Items are the entries of level L,
    where L, the number of steps, is the length of the longest path; an item is named by its leaf.
    [firstn t y] is y_<=t, the first t tokens of y: y itself once it has ended. *)
From Coq Require Import List Bool Arith Lia QArith Lqa Permutation Sorted.
From Beargrad Require Import search.
Import ListNotations.
Open Scope nat_scope.

Definition count {A} (f : A -> bool) l := length (filter f l).

Lemma count_incl (f g : node -> bool) l l' : NoDup l ->
  (forall v, In v l -> f v = true -> In v l' /\ g v = true) -> count f l <= count g l'.
Proof.
  intros Hl H. apply NoDup_incl_length; [now apply NoDup_filter|].
  intros v. rewrite !filter_In. intros []. auto.
Qed.

Lemma count_zero (f : node -> bool) l : (forall v, In v l -> f v = false) -> count f l = 0.
Proof.
  unfold count. induction l as [|v l IH]; cbn; intros H; auto.
  rewrite H by auto. apply IH; auto.
Qed.

Lemma count_split (f g : node -> bool) l : length (filter f l) =
  count (fun v => f v && g v) l + count (fun v => f v && negb (g v)) l.
Proof.
  unfold count. induction l as [|v l IH]; cbn; auto. destruct (f v), (g v); cbn; lia.
Qed.

Section Trie.

(** A trie: the children of a node are distinct tokens. *)
Variable children : node -> list nat.
Hypothesis distinct : forall u, NoDup (children u).
Variable L : nat.
Notation items := (level children L).

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
  apply rank_incl; [apply beam_facts; auto|]. intros v. now apply pool_level.
Qed.

(** Entry v of level t leads to an item z if v is z_<=t. *)
Definition leads (good : node -> bool) t v :=
  existsb (fun z => good z && if list_eq_dec Nat.eq_dec (firstn t z) v then true else false) items.

(** Whatever items are called good, an entry that comes before y_<=t leads to one of them or not. *)
Lemma good_or_not good y : In y items ->
  (forall t, 1 <= t <= L ->
    count good items +
    count (fun v => ahead v (firstn t y) && negb (leads good t v)) (pool t) < B) ->
  In y (beam L).
Proof.
  intros Hy H. apply kept; auto. intros s Hs _. specialize (H (S s) ltac:(lia)).
  eapply Nat.le_lt_trans; [|exact H]. set (w := firstn (S s) y).
  unfold rank. rewrite (count_split _ (leads good (S s))).
  apply Nat.add_le_mono_r. unfold count. rewrite <- (length_map (firstn (S s)) (filter good _)).
  apply NoDup_incl_length; [apply NoDup_filter, beam_facts; auto|].
  intros v [_ [_ Hv]%andb_true_iff]%filter_In. apply existsb_exists in Hv as [z [Hz Hg]].
  apply andb_true_iff in Hg as [Hg E]. destruct list_eq_dec as [<-|] in E; [|easy].
  apply in_map. now apply filter_In.
Qed.

(** Another item that scores at least P(y). *)
Definition rival y z :=
  Qle_bool (score y) (score z) && if list_eq_dec Nat.eq_dec z y then false else true.

(** T13': at each t, (other items that score at least P(y)) + (entries of pool_t that come before
    y_<=t and lead to no other item that scores at least P(y)) < B => y is returned. *)
Theorem T13' y : In y items ->
  (forall t, 1 <= t <= L ->
    count (rival y) items +
    count (fun v => ahead v (firstn t y) && negb (leads (rival y) t v)) (pool t) < B) ->
  In y (beam L).
Proof. apply good_or_not. Qed.

(** The same with "come before y" for "score at least P(y)". Its count is never the larger. *)
Theorem T13'_by_order y : In y items ->
  (forall t, 1 <= t <= L ->
    rank score items y +
    count (fun v => ahead v (firstn t y) && negb (leads (fun z => ahead z y) t v)) (pool t) < B) ->
  In y (beam L).
Proof. apply good_or_not. Qed.

(** T13: y in the exact top B (fewer than B other items score at least P(y)), and each entry of a
    pool with at least pi(y_<=t) leads to an item with at least P(y) => y is returned. *)
Theorem T13 y : In y items -> count (rival y) items < B ->
  (forall t v, 1 <= t <= L -> In v (pool t) -> (score (firstn t y) <= score v)%Q ->
    exists z, In z items /\ firstn t z = v /\ (score y <= score z)%Q) ->
  In y (beam L).
Proof.
  intros Hy HB H. apply T13'; auto. intros t Ht. rewrite (count_zero _ (pool t)); [lia|].
  intros v Hv. destruct (ahead v (firstn t y)) eqn:E; cbn; auto.
  destruct (H t v Ht Hv (ahead_score _ _ _ E)) as [z [Hz [Hl Hs]]].
  apply negb_false_iff, existsb_exists. exists z. split; auto. unfold rival.
  apply Qle_bool_iff in Hs as ->. destruct (list_eq_dec _ z y) as [->|_]; cbn.
  - subst v. now rewrite ahead_irrefl in E.
  - now destruct list_eq_dec.
Qed.

(** If a part of a list has the best B of it, these are the part's best B. *)
Lemma best_part n l l' : NoDup l -> NoDup l' -> incl l l' ->
  (forall v, In v l' -> rank score l' v < n -> In v l) ->
  best score n l = best score n l'.
Proof.
  intros Hl Hl' Hi H. apply nth_error_ext. intros r. unfold best. rewrite !nth_error_firstn.
  destruct (Nat.ltb_spec r n) as [Hr|]; auto.
  destruct (nth_error (sort score l') r) as [v|] eqn:E.
  - apply nth_sort in E as [Hv <-]; auto. apply nth_sort; auto. split; auto.
    apply rank_part; auto. intros u Hu Ha. apply H; auto.
    now apply Nat.lt_trans with (rank score l' v); [apply rank_lt|].
  - apply nth_error_None in E. apply nth_error_None.
    rewrite (Permutation_length (sort_permutation score l')) in E.
    rewrite (Permutation_length (sort_permutation score l)).
    apply Nat.le_trans with (length l'); auto. now apply NoDup_incl_length.
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
    - exists v. rewrite firstn_all2 by (eapply level_length; eauto). split; [|split]; auto. lra.
    - destruct IH as [z [Hz [Hp Hs]]].
      enough (exists w, In w (expand children z) /\ (score w == score z)%Q) as [w [Hw E]].
      { exists w. split; [apply in_flat_map; eauto|split; [|lra]].
        rewrite <- Hp, <- (expand_parent children n z w Hz Hw). now rewrite firstn_prefix. }
      unfold expand. destruct (children z) as [|a l] eqn:E.
      + exists z. split; [now left|lra].
      + destruct (reaches z) as [b [Hb Hq]]; [now rewrite E|]. exists (z ++ [b]). split; auto.
        exact (in_map (fun token => z ++ [token]) _ _ Hb). }
  assert (forall y, In y items -> rank score items y < B -> In y (beam L)) as H.
  { intros y Hy Hr. apply T13'_by_order; auto. intros t Ht. rewrite (count_zero _ (pool t)); [lia|].
    intros v Hv. apply pool_level in Hv; auto. destruct (ahead v (firstn t y)) eqn:E; cbn; auto.
    destruct (Hz t v ltac:(lia) Hv) as [z [Hi [Hp Hs]]].
    apply negb_false_iff, existsb_exists. exists z. split; auto.
    rewrite Hp. destruct list_eq_dec as [_|]; [|easy]. rewrite andb_true_r.
    pose proof (prefix_score children score t L y falls ltac:(lia) Hy) as Hf.
    apply ahead_spec. apply ahead_spec in E as [E|[E Hb]]; [left; lra|].
    destruct (Qlt_le_dec (score y) (score z)); [auto|right; split; [lra|]].
    rewrite <- (firstn_skipn t z), <- (firstn_skipn t y), Hp.
    apply level_before with children t; auto.
    apply level_prefix with L; auto. lia. }
  rewrite beam_best by auto. apply best_part.
  - apply beam_facts; auto.
  - now apply level_nodup.
  - intros v. now apply pool_level.
  - intros v Hv Hr. now apply beam_pool, H.
Qed.

(** From here on scores never rise along a path, as probabilities do not. *)
Hypothesis falls : forall u token, In token (children u) -> (score (u ++ [token]) <= score u)%Q.
Notation pruned := (pruned children score B).
Notation above_pruned := (above_pruned children score B L).

(** An item that scores above all that was pruned before the last step is in the last pool. *)
Lemma unpruned_item y x : In y items -> (x <= score y)%Q -> above_pruned x -> In y (pool L).
Proof.
  intros Hy Hx Ha. destruct L as [|n]; [exact Hy|]. apply in_pool; auto. split; auto.
  destruct (in_dec (list_eq_dec Nat.eq_dec) (firstn n y) (beam n)) as [|Hn]; auto.
  apply pruned_somewhere in Hn as [s [Hs Hp]]; auto; [|apply level_prefix with (S n); auto].
  rewrite firstn_prefix in Hp by lia. apply Ha in Hp; [|lia].
  pose proof (prefix_score children score s (S n) y falls ltac:(lia) Hy). lra.
Qed.

(** Place r of the beam's list is place r of the last pool. *)
Lemma nth_beam r y : 1 <= B ->
  nth_error (beam L) r = Some y <-> In y (pool L) /\ rank score (pool L) y = r /\ r < B.
Proof.
  intros HB. rewrite beam_best by auto. unfold best. rewrite nth_error_firstn, <- and_assoc, <- nth_sort
    by (apply beam_facts; auto).
  destruct (Nat.ltb_spec r B); intuition (easy || lia).
Qed.

(** T9: returned items with more than any score pruned before the last step are the exact best, in
    order: number r of the beam's list is number r of all items. *)
Theorem T9 r y : 1 <= B ->
  nth_error (beam L) r = Some y -> above_pruned (score y) ->
  nth_error (sort score items) r = Some y.
Proof.
  intros HB H Ha. apply nth_beam in H as [Hy [<- _]]; auto.
  apply nth_sort; [now apply level_nodup|].
  split; [eapply pool_level; eauto|]. symmetry. apply rank_part.
  - apply beam_facts; auto.
  - now apply level_nodup.
  - intros v. now apply pool_level.
  - intros z Hz Hs%ahead_score. eapply unpruned_item; eauto.
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
  - intros [z [Hz Ha]] t Ht. apply T9 in Hz; auto; [|lia].
    rewrite Hx in Hz. injection Hz as <-.
    destruct t as [|t]; [lia|].
    apply Nat.le_trans with (length (beam (S t))); [|apply firstn_le_length].
    apply NoDup_incl_length; [apply NoDup_filter, level_nodup; auto|].
    intros v [Hv Hs]%filter_In. apply Qle_bool_iff in Hs.
    destruct (in_dec (list_eq_dec Nat.eq_dec) v (beam (S t))) as [|Hn]; auto.
    apply pruned_somewhere in Hn as [s [Hst Hp]]; auto. apply Ha in Hp; [|lia].
    pose proof (prefix_score children score s (S t) v falls ltac:(lia) Hv). lra.
  - intros Hw.
    assert (forall t v, t < L -> In v (level t) -> (score x <= score v)%Q -> In v (beam t)) as H.
    { intros t v Ht Hv Hs. apply kept; auto. intros s Hst _.
      assert (In (firstn (S s) v) (level (S s))) as Hl by (apply level_prefix with t; auto).
      pose proof (prefix_score children score (S s) t v falls ltac:(lia) Hv).
      eapply Nat.lt_le_trans; [|apply (Hw (S s)); lia].
      apply (NoDup_incl_length (l := firstn (S s) v :: filter _ (pool (S s)))).
      - constructor; [|apply NoDup_filter, beam_facts; auto].
        now rewrite filter_In, ahead_irrefl.
      - intros w [<-|[Hp Ha%ahead_score]%filter_In]; apply filter_In; rewrite Qle_bool_iff.
        + split; [auto|lra].
        + split; [eapply pool_level; eauto|lra]. }
    assert (above_pruned (score x)) as Ha.
    { intros t v Ht [Hp Hn]. apply pool_level in Hp; auto. apply Qnot_le_lt. intros Hs.
      apply Hn, H; auto. lia. }
    exists x. split; auto. apply nth_sort in Hx as [Hx Hr]; [|now apply level_nodup].
    apply nth_beam; [lia|]. rewrite <- Hr. split; [eapply unpruned_item; eauto; lra|].
    split; [|lia]. apply rank_part.
    + apply beam_facts; auto.
    + now apply level_nodup.
    + intros v. now apply pool_level.
    + intros z Hz Hs%ahead_score. eapply unpruned_item; eauto.
Qed.

(** What is certified is the exact top k, in order. *)
Theorem certified_exact k : 1 <= k <= B -> certified k -> firstn k (beam L) = best score k items.
Proof.
  intros Hk [x [Hx Ha]]. pose proof (T9 _ _ ltac:(lia) Hx Ha) as Hr.
  apply nth_sort in Hr as [_ Hr]; [|now apply level_nodup].
  rewrite beam_best by lia. rewrite <- (best_part k (pool L) items).
  - unfold best. now rewrite firstn_firstn, Nat.min_l by lia.
  - apply beam_facts; auto.
  - now apply level_nodup.
  - intros v. now apply pool_level.
  - intros v Hv Hlt. eapply unpruned_item; eauto.
    destruct (ahead_total score v x) as [H|[->|H]]; [now apply ahead_score|lra|].
    apply nth_error_In, beam_level in Hx; auto.
    apply (rank_lt _ _ _ _ (level_nodup _ distinct L) Hx) in H. lia.
Qed.

End Scores.
End Trie.
