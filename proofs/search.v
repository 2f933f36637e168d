(** * Beam search over a trie, defined and put in order

    The definitions of docs/theory.md, and the lemmas that the proofs in theorems.v share.
    Probabilities and scores are rationals: nothing is rounded. *)
From Coq Require Import List Bool Arith Lia QArith Lqa Permutation Sorted.
Import ListNotations.
Open Scope nat_scope.

(** ** Nodes and their order *)

(** A node of the trie is its path: the list of its tokens. The root is the empty path. *)
Definition node := list nat.
Definition root : node := [].
Definition node_dec : forall u v : node, {u = v} + {u <> v} := list_eq_dec Nat.eq_dec.

(** The lexicographic order of paths. *)
Fixpoint before (u v : node) : bool :=
  match u, v with
  | _, [] => false
  | [], _ :: _ => true
  | a :: u', b :: v' =>
      match a ?= b with Lt => true | Gt => false | Eq => before u' v' end
  end.

(** The order of entries: score descending, ties by node. *)
Definition ahead (score : node -> Q) (u v : node) : bool :=
  match (score v ?= score u)%Q with Lt => true | Gt => false | Eq => before u v end.

(** Sorting by it, and the best B of a list. *)
Fixpoint insert score v l :=
  match l with
  | [] => [v]
  | w :: l' => if ahead score v w then v :: l else w :: insert score v l'
  end.
Fixpoint sort score l :=
  match l with [] => [] | v :: l' => insert score v (sort score l') end.
Definition best score B l := firstn B (sort score l).

(** The number of entries of a list that f accepts, and of those that come before v. *)
Definition count (f : node -> bool) l := length (filter f l).
Definition rank score l v := count (fun u => ahead score u v) l.

(** ** The trie and the search *)

Section Search.

(** [children u] are the tokens of the children of u. A path without children is an item's leaf. *)
Variable children : node -> list nat.
Variable score : node -> Q.
Variable B : nat.

Definition siblings u := map (fun token => u ++ [token]) (children u).

(** What a kept entry becomes in the next pool: its children, or itself once it has ended. *)
Definition expand u := match children u with [] => [u] | _ => siblings u end.

(** Level t: all prefixes of t tokens, and all items that ended before. *)
Fixpoint level t :=
  match t with 0 => [root] | S t' => flat_map expand (level t') end.

(** F_t, the beam after step t, and the pool of step t. *)
Fixpoint beam t :=
  match t with 0 => [root] | S t' => best score B (flat_map expand (beam t')) end.
Definition pool t :=
  match t with 0 => [root] | S t' => flat_map expand (beam t') end.

(** An entry that step t prunes, and a score above all that is pruned before the last step, L (in
    the code: above bestPruned). *)
Definition pruned t v := In v (pool t) /\ ~ In v (beam t).
Definition above_pruned L x :=
  forall t v, 1 <= t < L -> pruned t v -> (score v < x)%Q.

(** The rules of a search that may break ties in any way, in each step anew. *)
Definition a_search (F : nat -> list node) :=
  F 0 = [root] /\
  forall t, incl (F (S t)) (flat_map expand (F t)) /\ length (F (S t)) <= B /\
    forall u v, In u (F (S t)) -> In v (flat_map expand (F t)) -> ~ In v (F (S t)) ->
      (score v <= score u)%Q.

End Search.

(** The probability of a path: the product of q along it. *)
Fixpoint pi_from (q : node -> nat -> Q) (u path : node) : Q :=
  match path with
  | [] => 1
  | token :: rest => q u token * pi_from q (u ++ [token]) rest
  end.
Definition pi q := pi_from q root.

(** The probability of a node's last token, and beta of a node's children: the B-th largest of them,
    the smallest if they are fewer. *)
Definition own (q : node -> nat -> Q) u := q (removelast u) (last u 0).
Definition beta q children B u :=
  let ranked := sort (own q) (siblings children u) in
  own q (nth (Nat.min B (length ranked) - 1) ranked root).

(** ** The order is total, and sorting by it gives each entry its rank *)

Lemma before_irrefl u : before u u = false.
Proof. induction u; cbn; auto. now rewrite Nat.compare_refl. Qed.

Lemma before_trans u v w : before u v = true -> before v w = true -> before u w = true.
Proof.
  revert v w; induction u as [|a u IH]; intros [|b v] [|c w]; cbn; try easy.
  destruct (Nat.compare_spec a b), (Nat.compare_spec b c), (Nat.compare_spec a c);
    subst; try easy; try lia; eauto.
Qed.

Lemma before_total u v : before u v = true \/ u = v \/ before v u = true.
Proof.
  revert v; induction u as [|a u IH]; intros [|b v]; cbn; auto.
  rewrite (Nat.compare_antisym a b).
  destruct (Nat.compare_spec a b); cbn; auto. subst.
  destruct (IH v) as [|[->|]]; auto.
Qed.

(** Extensions of two paths keep their order, unless one path begins with the other. *)
Lemma before_extend u v : before u v = true -> firstn (length u) v <> u ->
  forall x y, before (u ++ x) (v ++ y) = true.
Proof.
  revert v; induction u as [|a u IH]; intros [|b v]; cbn; try easy.
  destruct (Nat.compare_spec a b); try easy. subst. intros; apply IH; congruence.
Qed.

Section Order.
Variable score : node -> Q.
Notation ahead := (ahead score).
Notation rank := (rank score).
Notation sort := (sort score).

Lemma ahead_spec u v : ahead u v = true <->
  (score v < score u)%Q \/ (score u == score v)%Q /\ before u v = true.
Proof.
  unfold search.ahead. destruct (Qcompare_spec (score v) (score u)); split; intros H';
    try easy; auto.
  - right. now split; [symmetry|].
  - destruct H' as [?|[_ ?]]; auto. lra.
  - destruct H' as [?|[? _]]; lra.
Qed.

Lemma ahead_score u v : ahead u v = true -> (score v <= score u)%Q.
Proof. intros [|[]]%ahead_spec; lra. Qed.

Lemma ahead_irrefl u : ahead u u = false.
Proof.
  apply not_true_is_false; intros [|[_ H]]%ahead_spec; [lra|now rewrite before_irrefl in H].
Qed.

Lemma ahead_trans u v w : ahead u v = true -> ahead v w = true -> ahead u w = true.
Proof.
  rewrite !ahead_spec. intros [|[]] [|[]]; try (left; lra).
  right; split; [lra|eauto using before_trans].
Qed.

Lemma ahead_total u v : ahead u v = true \/ u = v \/ ahead v u = true.
Proof.
  rewrite !ahead_spec. destruct (Q_dec (score u) (score v)) as [[|]|]; auto.
  destruct (before_total u v) as [|[]]; auto. right; right; right. split; [now symmetry|auto].
Qed.

Lemma ahead_asym u v : ahead u v = true -> ahead v u = false.
Proof.
  intros H. apply not_true_is_false; intros H'.
  pose proof (ahead_trans _ _ _ H H') as E. now rewrite ahead_irrefl in E.
Qed.

Lemma insert_permutation v l : Permutation (insert score v l) (v :: l).
Proof. induction l as [|w l IH]; cbn; auto. destruct ahead; auto. rewrite IH. constructor. Qed.

Lemma sort_permutation l : Permutation (sort l) l.
Proof. induction l; cbn; auto. rewrite insert_permutation. now constructor. Qed.

Lemma sort_sorted l : NoDup l -> StronglySorted (fun u v => ahead u v = true) (sort l).
Proof.
  induction 1 as [|v l Hv _ IH]; cbn; [constructor|].
  rewrite <- (sort_permutation l) in Hv. revert Hv IH. generalize (sort l); clear l.
  induction l as [|w l IHl]; cbn; intros Hv Hs; [repeat constructor|].
  apply StronglySorted_inv in Hs as [Hs Hw]. destruct (ahead v w) eqn:E.
  - repeat constructor; auto. eapply Forall_impl; [|exact Hw]; cbn; eauto using ahead_trans.
  - destruct (ahead_total v w) as [?|[->|?]]; [congruence|tauto|].
    constructor; [tauto|]. rewrite (insert_permutation v l). constructor; auto.
Qed.

Lemma rank_permutation l l' v : Permutation l l' -> rank l v = rank l' v.
Proof.
  unfold search.rank, count.
  induction 1 as [|w l l' _ IH|a b l|]; cbn; try congruence.
  - destruct (ahead w v); cbn; congruence.
  - destruct (ahead a v), (ahead b v); auto.
Qed.

(** Entry r of a sorted list is the one that r entries come before. *)
Lemma nth_sort l r v : NoDup l ->
  nth_error (sort l) r = Some v <-> In v l /\ rank l v = r.
Proof.
  intros Hl.
  enough (forall s, StronglySorted (fun u v => ahead u v = true) s ->
    forall r, nth_error s r = Some v -> rank s v = r) as Hr.
  { rewrite <- (rank_permutation _ _ v (sort_permutation l)).
    assert (In v l <-> In v (sort l)) as -> by now rewrite (sort_permutation l).
    split.
    - intros H. split; [eapply nth_error_In; eauto|]. apply Hr; auto using sort_sorted.
    - intros [Hin <-]. apply In_nth_error in Hin as [r' H].
      rewrite (Hr _ (sort_sorted l Hl) _ H). exact H. }
  intros s; induction 1 as [|w s Hs IH Hw]; intros [|r']; cbn; try easy.
  - intros [= <-]. unfold search.rank, count; cbn. rewrite ahead_irrefl.
    clear - Hw. induction Hw as [|x s H _ IH]; cbn; auto. now rewrite (ahead_asym _ _ H).
  - intros H. unfold search.rank, count; cbn.
    rewrite Forall_forall in Hw. rewrite (Hw v) by (eapply nth_error_In; eauto).
    cbn. f_equal. now apply IH.
Qed.

(** The best B are the entries that fewer than B others come before. *)
Lemma in_best B l v : NoDup l -> In v (best score B l) <-> In v l /\ rank l v < B.
Proof.
  intros Hl. unfold best. split.
  - intros [r H]%In_nth_error. rewrite nth_error_firstn in H.
    destruct (Nat.ltb_spec r B); [|easy]. apply nth_sort in H as [? ->]; auto.
  - intros [Hv Hr]. apply nth_error_In with (n := rank l v). rewrite nth_error_firstn.
    apply Nat.ltb_lt in Hr as ->. apply nth_sort; auto.
Qed.

Lemma count_incl (f g : node -> bool) l l' : NoDup l ->
  (forall u, In u l -> f u = true -> In u l' /\ g u = true) -> count f l <= count g l'.
Proof.
  intros Hl H. apply NoDup_incl_length; [now apply NoDup_filter|].
  intros u. rewrite !filter_In. intros []. auto.
Qed.

Lemma rank_incl l l' v : NoDup l -> incl l l' -> rank l v <= rank l' v.
Proof. intros. apply count_incl; auto. Qed.

(** If f accepts v and all that comes before v, it accepts more than come before v. *)
Lemma rank_lt_count (f : node -> bool) l l' v : NoDup l -> incl l l' -> In v l' -> f v = true ->
  (forall u, ahead u v = true -> f u = true) -> rank l v < count f l'.
Proof.
  intros Hl Hi Hv Hf H. apply (NoDup_incl_length (l := v :: filter _ l)).
  - constructor; [|now apply NoDup_filter]. now rewrite filter_In, ahead_irrefl.
  - intros u [<-|[]%filter_In]; apply filter_In; auto.
Qed.

Lemma rank_lt l u v : NoDup l -> In u l -> ahead u v = true -> rank l u < rank l v.
Proof. intros. apply rank_lt_count; eauto using incl_refl, ahead_trans. Qed.

(** If a part of a list has the best n of it, these are the part's best n, in the same order. *)
Lemma best_part n l l' : NoDup l -> NoDup l' -> incl l l' ->
  (forall v, In v l' -> rank l' v < n -> In v l) -> best score n l = best score n l'.
Proof.
  intros Hl Hl' Hi H. apply nth_error_ext. intros r. unfold best. rewrite !nth_error_firstn.
  destruct (Nat.ltb_spec r n) as [Hr|]; auto.
  destruct (nth_error (sort l') r) as [v|] eqn:E.
  - apply nth_sort in E as [Hv <-]; auto. apply nth_sort; auto. split; auto.
    apply Nat.le_antisymm; [now apply rank_incl|]. apply count_incl; auto.
    intros u Hu Ha. split; auto. apply H; auto.
    now apply Nat.lt_trans with (rank l' v); [apply rank_lt|].
  - apply nth_error_None in E. apply nth_error_None.
    rewrite (Permutation_length (sort_permutation l')) in E.
    rewrite (Permutation_length (sort_permutation l)). eauto using NoDup_incl_length, Nat.le_trans.
Qed.

End Order.

(** ** Levels, pools and beams *)

Lemma firstn_prefix s t (u : node) : s <= t -> firstn s (firstn t u) = firstn s u.
Proof. intros. now rewrite firstn_firstn, Nat.min_l. Qed.

Section Trie.
Variable children : node -> list nat.
Hypothesis distinct : forall u, NoDup (children u).

Notation expand := (expand children).
Notation level := (level children).

Lemma siblings_nodup u : NoDup (siblings children u).
Proof.
  apply NoDup_map_NoDup_ForallPairs; auto. intros x y _ _ H. apply app_inj_tail in H. tauto.
Qed.

Lemma in_expand u w : In w (expand u) ->
  children u = [] /\ w = u \/ exists token, In token (children u) /\ w = u ++ [token].
Proof.
  unfold search.expand, siblings. destruct (children u) as [|a l].
  - intros [<-|[]]. auto.
  - intros [token [<- H]]%in_map_iff. eauto.
Qed.

(** An entry of level t has t tokens, or fewer and has ended. *)
Lemma level_length t u : In u (level t) -> length u <= t /\ (length u < t -> children u = []).
Proof.
  revert u; induction t as [|t IH]; intros u.
  - intros [<-|[]]. cbn. lia.
  - intros [w [[Hw Hc]%IH [[Hn ->]|[token [Ht ->]]]%in_expand]]%in_flat_map; [auto|].
    rewrite length_app. cbn. split; [lia|]. intros. rewrite Hc in Ht by lia. easy.
Qed.

Lemma level_firstn t u : In u (level t) -> firstn t u = u.
Proof. intros H%level_length. now apply firstn_all2. Qed.

(** The parent of an entry of the next level is its first t tokens. *)
Lemma expand_parent t u w : In u (level t) -> In w (expand u) -> firstn t w = u.
Proof.
  intros [Hl Hc]%level_length [[_ ->]|[token [Ht ->]]]%in_expand; [now apply firstn_all2|].
  destruct (Nat.eq_dec (length u) t) as [<-|]; [|rewrite Hc in Ht by lia; easy].
  rewrite firstn_app, firstn_all, Nat.sub_diag. cbn. apply app_nil_r.
Qed.

(** So the children of a part of level t are the entries of level t + 1 whose parent is in it. *)
Lemma in_children t X w : incl X (level t) ->
  In w (flat_map expand X) <-> In w (level (S t)) /\ In (firstn t w) X.
Proof.
  intros HX. cbn [search.level]. rewrite !in_flat_map. split.
  - intros [u [Hu Hw]]. rewrite (expand_parent t u w (HX u Hu) Hw). split; [exists u|]; auto.
  - intros [[u [Hu Hw]] Hx]. rewrite (expand_parent t u w) in Hx; eauto.
Qed.

Lemma children_nodup t X : incl X (level t) -> NoDup X -> NoDup (flat_map expand X).
Proof.
  intros HX. induction 1 as [|u X Hu _ IH]; cbn; [constructor|].
  apply NoDup_app; [| apply IH; intros x Hx; apply HX; now right |].
  - pose proof (siblings_nodup u). unfold search.expand.
    destruct (children u); [repeat constructor; auto|auto].
  - intros w Hw Hw'. apply in_flat_map in Hw' as [u' [Hu' Hw']].
    apply (expand_parent t) in Hw, Hw'; [congruence| |]; apply HX; cbn; auto.
Qed.

Lemma level_nodup t : NoDup (level t).
Proof. induction t; [repeat constructor; auto|]. eapply children_nodup; eauto using incl_refl. Qed.

(** The first s tokens of an entry of level t are an entry of level s. *)
Lemma level_prefix s t u : s <= t -> In u (level t) -> In (firstn s u) (level s).
Proof.
  intros H; revert u. induction H as [|t H IH]; intros u Hu.
  - now rewrite level_firstn.
  - rewrite <- (firstn_prefix s t) by auto. apply IH.
    eapply in_children; eauto using incl_refl.
Qed.

(** If y has t + 1 tokens, the first t + 1 and their siblings are what the first t expand to. *)
Lemma siblings_expand n y t : In y (level n) -> t < length y ->
  t < n /\ In (firstn (S t) y) (siblings children (firstn t y)) /\
  expand (firstn t y) = siblings children (firstn t y).
Proof.
  intros Hy Ht. assert (t < n) as Hn by (apply level_length in Hy; lia). split; auto.
  pose proof (level_prefix (S t) n y Hn Hy) as [w [Hw Hu]]%in_flat_map.
  pose proof (expand_parent t w _ Hw Hu) as E. rewrite firstn_prefix in E by lia. subst w.
  unfold search.expand in *. destruct (children (firstn t y)); [|auto].
  destruct Hu as [Hu|[]]. apply (f_equal (@length nat)) in Hu. rewrite !length_firstn in Hu. lia.
Qed.

(** Two entries of a level do not lie on one path, so entries below them keep their order. *)
Lemma level_before t u v : In u (level t) -> In v (level t) -> before u v = true ->
  forall x y, before (u ++ x) (v ++ y) = true.
Proof.
  intros Hu Hv Huv. apply before_extend; auto. intros E.
  destruct (Nat.le_gt_cases (length v) (length u)) as [Hl|Hl].
  - rewrite firstn_all2 in E by auto. subst. now rewrite before_irrefl in Huv.
  - destruct (siblings_expand t v (length u) Hv Hl) as [Ht [Hs _]]. rewrite E in Hs.
    apply level_length in Hu as [_ Hc]. unfold siblings in Hs. now rewrite Hc in Hs.
Qed.

Section Beam.
Variable score : node -> Q.
Variable B : nat.
Notation beam := (beam children score B).
Notation pool := (pool children score B).

Lemma beam_facts t : incl (beam t) (level t) /\ NoDup (beam t) /\ NoDup (pool t).
Proof.
  induction t as [|t [Hi [Hn _]]]; cbn.
  - split; [apply incl_refl|split; repeat constructor; auto].
  - pose proof (children_nodup t _ Hi Hn) as Hp. split; [|split; auto].
    + intros v Hv. apply in_best in Hv as [Hv _]; auto. eapply in_children in Hv; eauto. tauto.
    + apply NoDup_app_remove_r with (skipn B (sort score (flat_map expand (beam t)))).
      unfold best. now rewrite firstn_skipn, sort_permutation.
Qed.

Lemma in_pool t v : In v (pool (S t)) <-> In v (level (S t)) /\ In (firstn t v) (beam t).
Proof. apply in_children, beam_facts. Qed.

Lemma in_beam t v : In v (beam (S t)) <->
  In v (level (S t)) /\ In (firstn t v) (beam t) /\ rank score (pool (S t)) v < B.
Proof.
  cbn [search.beam]. rewrite in_best by (apply (beam_facts (S t))).
  change (flat_map expand (beam t)) with (pool (S t)). rewrite in_pool. tauto.
Qed.

Lemma beam_best t : 1 <= B -> beam t = best score B (pool t).
Proof. destruct t; cbn; auto. destruct B; [lia|]. cbn. now rewrite firstn_nil. Qed.

Lemma beam_pool t v : In v (beam t) -> In v (pool t).
Proof. destruct t; auto. rewrite in_beam, in_pool. tauto. Qed.

Lemma beam_level t v : In v (beam t) -> In v (level t).
Proof. apply beam_facts. Qed.

Lemma pool_nodup t : NoDup (pool t).
Proof. apply beam_facts. Qed.

Lemma pool_level t : incl (pool t) (level t).
Proof. destruct t; [apply incl_refl|]. intros v H%in_pool. tauto. Qed.

(** The search is one of those that may break ties in any way. *)
Lemma beam_is_a_search : a_search children score B beam.
Proof.
  split; [reflexivity|]. intros t.
  pose proof (beam_facts (S t)) as [_ [_ Hp]]. cbn in Hp. repeat split.
  - intros v Hv. apply in_best in Hv; tauto.
  - apply firstn_le_length.
  - intros u v Hu Hv Hn. cbn in Hu, Hn. rewrite in_best in Hu, Hn by auto.
    destruct (ahead_total score u v) as [H|[->|H]]; [now apply ahead_score|lra|].
    exfalso. apply Hn. split; auto. destruct Hu as [_ Hu].
    eapply Nat.le_lt_trans; [|exact Hu]. apply count_incl; eauto using ahead_trans.
Qed.

(** In each of them what is kept at step t is in level t, and its prefixes were kept before. *)
Lemma search_prefix F : a_search children score B F -> forall s t v, s <= t ->
  In v (F t) -> In v (level t) /\ In (firstn s v) (F s).
Proof.
  intros [H0 HF].
  assert (forall t, incl (F t) (level t)) as Hl.
  { induction t as [|t IH]; [now rewrite H0|]. intros v Hv.
    apply (in_children t (F t) v IH), HF, Hv. }
  intros s t v Hs Hv. split; [now apply Hl|]. revert v Hv. induction Hs as [|t Hs IH]; intros v Hv.
  - rewrite level_firstn; auto. now apply Hl.
  - rewrite <- (firstn_prefix s t) by auto. apply IH.
    apply (in_children t (F t) v (Hl t)), HF, Hv.
Qed.

(** An entry is kept if at each step, while it is there, fewer than B of its pool come before it. *)
Lemma kept t y : In y (level t) ->
  (forall s, s < t -> In (firstn s y) (beam s) ->
    rank score (pool (S s)) (firstn (S s) y) < B) ->
  In y (beam t).
Proof.
  intros Hy H.
  enough (forall s, s <= t -> In (firstn s y) (beam s)) as Hs
    by (rewrite <- (level_firstn t y); auto).
  induction s as [|s IH]; intros Hs; [cbn; auto|].
  apply in_beam. rewrite firstn_prefix by lia.
  split; [|split]; auto using Nat.lt_le_incl. now apply level_prefix with t.
Qed.

(** An entry of level t that is not in the beam was pruned, itself or a prefix of it. *)
Lemma pruned_somewhere t y : In y (level t) -> ~ In y (beam t) ->
  exists s, 1 <= s <= t /\ pruned children score B s (firstn s y).
Proof.
  induction t as [|t IH] in y |- *; intros Hy Hn; [tauto|].
  destruct (in_dec node_dec (firstn t y) (beam t)) as [Hp|Hp].
  - exists (S t). rewrite level_firstn by auto. split; [lia|].
    split; auto. apply in_pool. auto.
  - destruct (IH (firstn t y)) as [s [Hs Hq]]; auto.
    { apply level_prefix with (S t); auto. }
    exists s. rewrite firstn_prefix in Hq by lia. split; [lia|auto].
Qed.

End Beam.

(** Where scores never rise along a path, a prefix scores at least as much. *)
Lemma prefix_score (score : node -> Q) s t u :
  (forall u token, In token (children u) -> (score (u ++ [token]) <= score u)%Q) ->
  s <= t -> In u (level t) -> (score u <= score (firstn s u))%Q.
Proof.
  intros falls H; revert u. induction H as [|t H IH]; intros u Hu.
  - rewrite level_firstn by auto. lra.
  - rewrite <- (firstn_prefix s t) by auto.
    apply in_flat_map in Hu as [w [Hw Hu]]. rewrite (expand_parent t w u Hw Hu).
    apply Qle_trans with (score w); [|auto].
    apply in_expand in Hu as [[_ ->]|[token [Ht ->]]]; [lra|auto].
Qed.

End Trie.
#[export] Hint Resolve siblings_nodup level_nodup pool_nodup pool_level incl_refl : search.
