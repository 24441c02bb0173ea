(** * What the theorems speak of: every definition of the formal part, in the order of the book.

    Numbers are Coq's classical real numbers.  A theorem says as much as its statement and these
    definitions say; nothing else has to be trusted but Coq's kernel and the axioms of the reals. *)
From Coq Require Import Reals.
Open Scope R_scope.

(** ** Both norms

    The unit interval.  Functions are defined for all reals; what is said of them is said on it. *)
Definition unit_interval (x : R) := 0 <= x <= 1.

(** [Lip P L g]: on the set [P] the function [g] has the Lipschitz constant [L].  On an interval
    this is the bound [|g'| <= L] almost everywhere, the [W^{1,inf}] seminorm, without a derivative
    in its wording. *)
Definition Lip (P : R -> Prop) (L : R) (g : R -> R) :=
  forall x y, P x -> P y -> Rabs (g x - g y) <= L * Rabs (x - y).

(** [close P a b f g]: the two functions differ by at most [a] in value and [b] in slope. *)
Definition close (P : R -> Prop) (a b : R) (f g : R -> R) :=
  (forall z, P z -> Rabs (f z - g z) <= a) /\ Lip P b (fun z => f z - g z).

(** ** Chapter 3, squares: [g], its iterates, [sq_n], and [epsilon = 4^{-n-1}], [delta = 2^{-n}] *)
Definition relu (t : R) := Rmax 0 t.
Definition tent (t : R) := 2 * relu t - 4 * relu (t - /2).
Fixpoint sawtooth (n : nat) (z : R) : R :=
  match n with O => z | S k => sawtooth k (tent z) end.
Fixpoint sq (n : nat) (z : R) : R :=
  match n with O => z | S k => sq k z - (/4)^(S k) * sawtooth (S k) z end.
Definition epsilon (n : nat) := (/4)^(S n).
Definition delta (n : nat) := (/2)^n.

(** ** Products and powers: [mu_n], [p_k], [e_k], [e_k']

    A positive number is given by its binary digits, [xH] for 1, [xO k] for [2k], [xI k] for
    [2k+1]; the recursion of the book goes along them. *)
Definition mu (n : nat) (a b : R) := sq n ((a + b) / 2) - sq n (Rabs (a - b) / 2).
Fixpoint power (n : nat) (k : positive) (z : R) : R :=
  match k with
  | xH => z
  | xO k => sq n (power n k z)
  | xI k => mu n z (sq n (power n k z))
  end.
Fixpoint power_error (n : nat) (k : positive) : R :=
  match k with
  | xH => 0
  | xO k => 2 * power_error n k + epsilon n
  | xI k => (2 * power_error n k + epsilon n) + epsilon n
  end.
Fixpoint power_slope (n : nat) (k : positive) : R :=
  match k with
  | xH => 0
  | xO k => 2 * power_slope n k + IPR k * (delta n + 2 * power_error n k)
  | xI k => (2 * power_slope n k + IPR k * (delta n + 2 * power_error n k))
            + (2 * power_error n k + epsilon n) + (2 * IPR k + 1) * delta n
  end.
