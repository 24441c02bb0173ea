(** * Chapter 3: the product (lem-product)

    Everything follows from lem-square: the error of [mu] is a difference of two errors of [sq], and
    its slopes are differences of two slopes of [sq], which are monotone. *)
From Coq Require Import Reals Lra Lia Psatz Arith.
From Formal Require Import Definitions Chapter03_Square.
Open Scope R_scope.

Lemma epsilon_pos n : 0 < epsilon n. Proof. apply pow_lt; lra. Qed.
Lemma delta_pos n : 0 < delta n. Proof. apply pow_lt; lra. Qed.


Lemma mu_comm n a b : mu n a b = mu n b a.
Proof. unfold mu. rewrite (Rplus_comm a b), Rabs_minus_sym. reflexivity. Qed.

Lemma halves_unit a b : unit_interval a -> unit_interval b -> unit_interval ((a+b)/2) /\ unit_interval (Rabs (a-b)/2).
Proof. unfold unit_interval; intros; rcase; lra. Qed.

Lemma mu_error n a b : mu n a b - a * b = error n ((a+b)/2) - error n (Rabs (a-b)/2).
Proof. unfold mu, error. rcase; field. Qed.

Lemma error_bound n z : unit_interval z -> 0 <= error n z <= epsilon n.
Proof. intros H. generalize (lem_square_value n z H). unfold error, epsilon. replace (z^2) with (z*z) by ring. auto. Qed.
Lemma error_lip n : Lip unit_interval (delta n) (error n).
Proof. intros x y Hx Hy. generalize (lem_square_slope n x y Hx Hy). unfold error, delta.
  replace (x^2) with (x*x) by ring. replace (y^2) with (y*y) by ring. auto. Qed.

Theorem mu_value n a b : unit_interval a -> unit_interval b -> Rabs (mu n a b - a * b) <= epsilon n.
Proof.
  intros Ha Hb. destruct (halves_unit a b Ha Hb) as [P Q]. rewrite mu_error.
  generalize (error_bound n _ P), (error_bound n _ Q). intros; rcase; lra.
Qed.

Theorem mu_slope_a n b : unit_interval b -> Lip unit_interval (delta n) (fun a => mu n a b - a * b).
Proof.
  intros Hb x y Hx Hy. rewrite !mu_error.
  destruct (halves_unit x b Hx Hb) as [P Q], (halves_unit y b Hy Hb) as [P' Q'].
  generalize (error_lip n _ _ P P'), (error_lip n _ _ Q Q'). intros A B.
  assert (Rabs ((x+b)/2 - (y+b)/2) <= Rabs (x-y)/2) by (rcase; lra).
  assert (Rabs (Rabs (x-b)/2 - Rabs (y-b)/2) <= Rabs (x-y)/2) by (rcase; lra).
  generalize (delta_pos n); intro D.
  assert (A' : Rabs (error n ((x+b)/2) - error n ((y+b)/2)) <= delta n * (Rabs (x-y)/2)) by nra.
  assert (B' : Rabs (error n (Rabs (x-b)/2) - error n (Rabs (y-b)/2)) <= delta n * (Rabs (x-y)/2)) by nra.
  clear A B. revert A' B'.
  generalize (error n ((x+b)/2)), (error n ((y+b)/2)), (error n (Rabs (x-b)/2)), (error n (Rabs (y-b)/2)).
  intros u v w t A B.
  apply Rle_trans with (Rabs (u - v) + Rabs (w - t)); [|lra].
  rcase; lra.
Qed.

Theorem mu_slope_b n a : unit_interval a -> Lip unit_interval (delta n) (fun b => mu n a b - a * b).
Proof.
  intros Ha x y Hx Hy. cbv beta. rewrite !(mu_comm n a), !(Rmult_comm a).
  exact (mu_slope_a n a Ha x y Hx Hy).
Qed.

Theorem mu_mono_lip1 n a a' b : 0 <= a -> a <= a' -> a' <= 1 -> unit_interval b ->
  0 <= mu n a' b - mu n a b <= a' - a.
Proof.
  assert (Up : forall a a' b, 0 <= a -> a <= a' -> a' <= 1 -> unit_interval b -> b <= a ->
     0 <= mu n a' b - mu n a b <= a' - a).
  { unfold unit_interval. intros x y c ? ? ? ? ?. unfold mu.
    replace (Rabs (x-c)) with (x-c) by (rcase; lra).
    replace (Rabs (y-c)) with (y-c) by (rcase; lra).
    generalize (sq_convex n ((x-c)/2) c ((y-x)/2)).
    replace ((x-c)/2 + (y-x)/2) with ((y-c)/2) by field.
    replace ((x-c)/2 + c + (y-x)/2) with ((y+c)/2) by field.
    replace ((x-c)/2 + c) with ((x+c)/2) by field.
    generalize (sq_slope02 n ((x-c)/2) ((y-c)/2)), (sq_slope02 n ((x+c)/2) ((y+c)/2)).
    lra. }
  assert (Dn : forall a a' b, 0 <= a -> a <= a' -> a' <= 1 -> unit_interval b -> a' <= b ->
     0 <= mu n a' b - mu n a b <= a' - a).
  { unfold unit_interval. intros x y c ? ? ? ? ?. unfold mu.
    replace (Rabs (x-c)) with (c-x) by (rcase; lra).
    replace (Rabs (y-c)) with (c-y) by (rcase; lra).
    generalize (sq_convex n ((c-y)/2) (1 - c) ((y-x)/2)).
    replace ((c-y)/2 + (y-x)/2) with ((c-x)/2) by field.
    replace ((c-y)/2 + (1-c) + (y-x)/2) with (1 - (x+c)/2) by field.
    replace ((c-y)/2 + (1-c)) with (1 - (y+c)/2) by field.
    rewrite !sq_sym by (unfold unit_interval; lra).
    generalize (sq_slope02 n ((c-y)/2) ((c-x)/2)), (sq_slope02 n ((x+c)/2) ((y+c)/2)).
    lra. }
  intros Ha Haa Ha' Hb.
  destruct (Rle_dec b a). { apply Up; auto. }
  destruct (Rle_dec a' b). { apply Dn; auto. }
  unfold unit_interval in Hb. generalize (Up b a' b), (Dn a b b). unfold unit_interval. lra.
Qed.

Theorem mu_0 n a : 0 <= a -> mu n a 0 = 0.
Proof. intros. unfold mu. rewrite Rplus_0_r, Rminus_0_r, Rabs_pos_eq by lra. ring. Qed.
Theorem mu_1 n b : unit_interval b -> mu n 1 b = b.
Proof.
  intros Hb. unfold unit_interval in Hb. unfold mu. rewrite Rabs_pos_eq by lra.
  replace ((1+b)/2) with (1 - (1-b)/2) by field.
  rewrite sq_sym by (unfold unit_interval; lra). field.
Qed.
Theorem mu_min n a b : unit_interval a -> unit_interval b -> 0 <= mu n a b <= Rmin a b.
Proof.
  assert (A : forall a b, unit_interval a -> unit_interval b -> 0 <= mu n a b <= b).
  { intros x c Hx Hc. generalize (mu_mono_lip1 n 0 x c), (mu_mono_lip1 n x 1 c).
    rewrite mu_1 by auto. rewrite (mu_comm n 0 c), mu_0 by (unfold unit_interval in *; lra).
    unfold unit_interval in *; lra. }
  intros Ha Hb. generalize (A a b Ha Hb), (A b a Hb Ha). rewrite (mu_comm n b a).
  rcase; lra.
Qed.
Lemma mu_unit n a b : unit_interval a -> unit_interval b -> unit_interval (mu n a b).
Proof. intros Ha Hb. generalize (mu_min n a b Ha Hb). unfold unit_interval in *. rcase; lra. Qed.

(** What a chain rule needs, in one statement: the slope of a secant. *)
Lemma mu_secant n a a' b : unit_interval a -> unit_interval a' -> unit_interval b ->
  exists s, mu n a' b - mu n a b = s * (a' - a) /\ 0 <= s <= 1 /\ Rabs (s - b) <= delta n.
Proof.
  intros Ha Ha' Hb. destruct (Req_dec a a') as [->|N].
  - exists b. generalize (delta_pos n). unfold unit_interval in *. repeat split; try lra. rcase; lra.
  - exists ((mu n a' b - mu n a b) / (a' - a)).
    assert (K := mu_slope_a n b Hb a' a Ha' Ha). cbv beta in K.
    set (s := (mu n a' b - mu n a b) / (a' - a)).
    assert (E : mu n a' b - mu n a b = s * (a' - a)) by (unfold s; field; lra).
    split; [exact E|].
    replace (mu n a' b - a' * b - (mu n a b - a * b)) with ((s - b) * (a' - a)) in K by lra.
    rewrite Rabs_mult in K.
    assert (0 < Rabs (a' - a)) by (apply Rabs_pos_lt; lra).
    split; [|apply Rmult_le_reg_r with (Rabs (a' - a)); lra].
    unfold unit_interval in *.
    destruct (Rle_dec a a').
    + generalize (mu_mono_lip1 n a a' b); unfold unit_interval; rewrite E; intros. nra.
    + generalize (mu_mono_lip1 n a' a b); unfold unit_interval. intros G.
      replace (mu n a b - mu n a' b) with (s * (a - a')) in G by lra. nra.
Qed.
Lemma sq_secant n x y : unit_interval x -> unit_interval y ->
  exists s, sq n y - sq n x = s * (y - x) /\ 0 <= s <= 2 /\ Rabs (s - (x + y)) <= delta n.
Proof.
  intros Hx Hy. destruct (Req_dec x y) as [->|N].
  - exists (y + y). generalize (delta_pos n). unfold unit_interval in *. repeat split; try lra. rcase; lra.
  - exists ((sq n y - sq n x) / (y - x)).
    assert (K := error_lip n y x Hy Hx). unfold error in K.
    set (s := (sq n y - sq n x) / (y - x)).
    assert (E : sq n y - sq n x = s * (y - x)) by (unfold s; field; lra).
    split; [exact E|].
    replace (sq n y - y * y - (sq n x - x * x)) with ((s - (x+y)) * (y - x)) in K by lra.
    rewrite Rabs_mult in K.
    assert (0 < Rabs (y - x)) by (apply Rabs_pos_lt; lra).
    split; [|apply Rmult_le_reg_r with (Rabs (y - x)); lra].
    unfold unit_interval in *.
    destruct (Rle_dec x y).
    + generalize (sq_slope02 n x y); rewrite E; intros. nra.
    + generalize (sq_slope02 n y x). intros G.
      replace (sq n x - sq n y) with (s * (x - y)) in G by lra. nra.
Qed.
