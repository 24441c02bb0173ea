(** * The theorems, in the order of the book

    Each is stated in full; the names are the labels of the book.  The words of the book stand above
    each.  What the symbols mean is in [Definitions]; that the statements are proved is what Coq has
    checked. *)
From Coq Require Import Reals Lra.
From Formal Require Import Definitions Chapter03_Square Chapter03_Product Chapter03_Power.
Open Scope R_scope.

(** ** Sawtooth (lem-sawtooth)

    On [[0,1]] the [k]-fold composition of the tent is the sawtooth with [2^(k-1)] teeth: it is 0 at
    the even and 1 at the odd multiples of [2^(-k)], and linear between them. *)
Theorem lem_sawtooth : forall k j t, (j < 2^k)%nat -> unit_interval t ->
  sawtooth k ((INR j + t) / 2^k) = if Nat.even j then t else 1 - t.
Proof. exact Chapter03_Square.lem_sawtooth. Qed.

(** ** Square (lem-square)

    [sq_n] interpolates [z^2] linearly at the multiples of [2^(-n)] in [[0,1]].  Hence it is at least
    [z^2] and at most [epsilon] more, and its slope is off by [delta] at most, both attained;
    [sq_n(z) <= z]; its slope is nondecreasing with values in [[0,2]]; and the slopes at [z] and
    [1-z] add up to 2 (here: [sq_n(1-z) = sq_n(z) + 1 - 2z]). *)
Theorem lem_square : forall n,
  (forall j t, (j < 2^n)%nat -> unit_interval t ->
     sq n ((INR j + t) / 2^n) = (1 - t) * (INR j / 2^n)^2 + t * ((INR j + 1) / 2^n)^2) /\
  (forall z, unit_interval z -> 0 <= sq n z - z^2 <= epsilon n) /\
  Lip unit_interval (delta n) (fun z => sq n z - z^2) /\
  (forall j, (j < 2^n)%nat -> let z := (INR j + /2) / 2^n in sq n z - z^2 = epsilon n) /\
  (forall L, Lip unit_interval L (fun z => sq n z - z^2) -> delta n <= L) /\
  (forall z, unit_interval z -> sq n z <= z) /\
  (forall x d h, 0 <= x -> 0 <= d -> 0 <= h -> x + d + h <= 1 ->
     sq n (x + h) - sq n x <= sq n (x + d + h) - sq n (x + d)) /\
  (forall x y, 0 <= x -> x <= y -> y <= 1 -> 0 <= sq n y - sq n x <= 2 * (y - x)) /\
  (forall z, unit_interval z -> sq n (1 - z) = sq n z + 1 - 2 * z).
Proof.
  intros n. split; [exact (square_interpolates n)|]. split; [exact (lem_square_value n)|].
  split; [exact (lem_square_slope n)|]. split; [exact (square_value_attained n)|].
  split; [exact (square_slope_attained n)|]. split; [exact (sq_le n)|].
  split; [exact (sq_convex n)|]. split; [exact (sq_slope02 n)|]. exact (sq_sym n).
Qed.

(** ** Product (lem-product; all but its last sentence, on floating-point numbers)

    [mu_n] is off [a b] by [epsilon] at most, and in each slope by [delta]; slopes are between 0 and
    1; [mu_n(1,b) = b], [mu_n(a,0) = 0], and [0 <= mu_n(a,b) <= min(a,b)]. *)
Theorem lem_product : forall n,
  (forall a b, unit_interval a -> unit_interval b -> Rabs (mu n a b - a * b) <= epsilon n) /\
  (forall b, unit_interval b -> Lip unit_interval (delta n) (fun a => mu n a b - a * b)) /\
  (forall a, unit_interval a -> Lip unit_interval (delta n) (fun b => mu n a b - a * b)) /\
  (forall a a' b, 0 <= a -> a <= a' -> a' <= 1 -> unit_interval b ->
     0 <= mu n a' b - mu n a b <= a' - a) /\
  (forall a b b', 0 <= b -> b <= b' -> b' <= 1 -> unit_interval a ->
     0 <= mu n a b' - mu n a b <= b' - b) /\
  (forall b, unit_interval b -> mu n 1 b = b) /\
  (forall a, unit_interval a -> mu n a 0 = 0) /\
  (forall a b, unit_interval a -> unit_interval b -> 0 <= mu n a b <= Rmin a b).
Proof.
  intros n. split; [exact (mu_value n)|]. split; [exact (mu_slope_a n)|].
  split; [exact (mu_slope_b n)|]. split; [exact (mu_mono_lip1 n)|]. split.
  { intros a b b' H0 H1 H2 Ha. rewrite !(mu_comm n a). apply mu_mono_lip1; auto. }
  split; [exact (mu_1 n)|]. split; [intros a [H _]; exact (mu_0 n a H)|]. exact (mu_min n).
Qed.

(** ** Powers (lem-power)

    [p_1(z) = z], [p_2k = sq_n(p_k)], [p_2k+1 = mu_n(z, p_2k)] on [[0,1]].  Then [p_k <= z], and
    [p_k] is off [z^k] by [e_k] at most and its slope by [e_k'], the numbers of the book's recursion
    ([power_error] and [power_slope]). *)
Theorem lem_power : forall n k,
  (forall z, unit_interval z -> 0 <= power n k z <= z) /\
  close unit_interval (power_error n k) (power_slope n k)
    (power n k) (fun z => z ^ Pos.to_nat k).
Proof. exact Chapter03_Power.lem_power. Qed.
