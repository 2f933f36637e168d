(** * Small worlds

    The definitions at work on pictures of docs/theory.md, and what goes wrong where a theorem's
    condition is left out. Every fact is computed. *)
From Coq Require Import List Bool Arith Lia QArith.
From Beargrad Require Import search theorems.
Import ListNotations.
Open Scope nat_scope.

(** A trie with probabilities: each node with its own, a fraction. *)
Definition world := list (node * (nat * nat)).
Definition same u v := if node_dec u v then true else false.
Definition children (w : world) u := flat_map (fun '(v, _) =>
  match v with [] => [] | _ => if same (removelast v) u then [last v 0] else [] end) w.
Definition q (w : world) u token := fold_right (fun '(v, (a, b)) rest =>
  if same v (u ++ [token]) then Z.of_nat a # Pos.of_nat b else rest)%Q 0%Q w.
Definition returned w B L := beam (children w) (pi (q w)) B L.
Definition exact w L := sort (pi (q w)) (level (children w) L).

(** R2: .6/.4, a -> .6/.4, b -> 1. B = 1 returns .36 and loses .40; B = 2 returns both. *)
Definition R2 : world :=
  [([0], (6, 10)); ([1], (4, 10)); ([0; 0], (6, 10)); ([0; 1], (4, 10)); ([1; 0], (1, 1))].
Example R2_beams : returned R2 1 2 = [[0; 0]] /\ returned R2 2 2 = [[1; 0]; [0; 0]] /\
  exact R2 2 = [[1; 0]; [0; 0]; [0; 1]].
Proof. now vm_compute. Qed.

Lemma R2_children u : In u [[]; [0]; [1]] \/ children R2 u = [].
Proof.
  unfold children, R2, same. cbn -[node_dec].
  repeat destruct node_dec; subst; cbn; auto; congruence.
Qed.

(** It has all that T4 asks for: by T4, B = 2 returns .36 > 1/3. *)
Example R2_T4 : In [0; 0] (returned R2 2 2).
Proof.
  apply T4.
  - intros u. destruct (R2_children u) as [[<-|[<-|[<-|[]]]]| ->]; repeat constructor; cbn; lia.
  - intros u token. unfold q, R2, same. cbn -[node_dec]. repeat destruct node_dec; easy.
  - intros u. unfold siblings. now destruct (R2_children u) as [[<-|[<-|[<-|[]]]]| ->]; vm_compute.
  - vm_compute. auto.
  - easy.
Qed.

(** R10: T1 without pi(y_<t) > 0. Below a prefix of probability 0 the order of tokens decides: y is
    returned, and its last token is the third of its siblings. *)
Definition R10 : world :=
  [([0], (0, 1)); ([1], (1, 1)); ([0; 0], (0, 1)); ([0; 1], (1, 2)); ([0; 2], (1, 2))].
Example T1_needs_positive : returned R10 2 2 = [[1]; [0; 0]] /\
  best (own (q R10)) 2 (siblings (children R10) [0]) = [[0; 1]; [0; 2]].
Proof. now vm_compute. Qed.

(** T4 with >= for >, and T13' with <= B for < B: of three equal leaves one is lost at B = 2. *)
Definition thirds : world := [([0], (1, 3)); ([1], (1, 3)); ([2], (1, 3))].
Example T4_needs_strict : returned thirds 2 1 = [[0]; [1]] /\ exact thirds 1 = [[0]; [1]; [2]].
Proof. now vm_compute. Qed.

(** T9 with >= for >: a pruned prefix leads to an item that scores as much and comes first. *)
Definition tie : world :=
  [([0], (2, 5)); ([1], (3, 5)); ([0; 0], (1, 1)); ([1; 0], (2, 3)); ([1; 1], (1, 3))].
Example T9_needs_strict : returned tie 1 2 = [[1; 0]] /\ exact tie 2 = [[0; 0]; [1; 0]; [1; 1]] /\
  Qeq_bool (pi (q tie) [0]) (pi (q tie) [1; 0]) = true.
Proof. now vm_compute. Qed.

(** T9 and T15 where scores may rise, as means along a path do: [1] is pruned, the list's only item
    scores above it, and the best item is below [1]. *)
Definition rising (u : node) : Q :=
  match u with [0] => 1#2 | [1] => 1#3 | [1; 0] => 1 | _ => 0 end.
Definition short : world := [([0], (1, 1)); ([1], (1, 1)); ([1; 0], (1, 1))].
Example T9_needs_falling : beam (children short) rising 1 2 = [[0]] /\
  sort rising (level (children short) 2) = [[1; 0]; [0]].
Proof. now vm_compute. Qed.
