(** * Chapter 3: the square (lem-sawtooth, lem-square)

    The proof of lem-square is by one identity: [error_S], the error at level [n+1] is a quarter of
    the error at level [n] of the tent.  It gives both norms at once. *)
From Coq Require Import Reals Lra Lia Psatz Arith.
From Formal Require Import Definitions.
Open Scope R_scope.

Definition error n z := sq n z - z * z.

(** Case distinctions of moduli and maxima. *)
Ltac rcase := unfold Rabs, Rmax, Rmin in *;
  repeat (match goal with
  | |- context [Rcase_abs ?x] => destruct (Rcase_abs x)
  | |- context [Rle_dec ?x ?y] => destruct (Rle_dec x y)
  end).

Lemma relu_pos t : 0 <= t -> relu t = t.
Proof. intros; unfold relu; rcase; lra. Qed.
Lemma relu_neg t : t <= 0 -> relu t = 0.
Proof. intros; unfold relu; rcase; lra. Qed.
Lemma relu_ge0 t : 0 <= relu t.
Proof. unfold relu; rcase; lra. Qed.

Lemma tent_l z : 0 <= z <= /2 -> tent z = 2 * z.
Proof. intros; unfold tent, relu; rcase; lra. Qed.
Lemma tent_r z : /2 <= z <= 1 -> tent z = 2 - 2 * z.
Proof. intros; unfold tent, relu; rcase; lra. Qed.
Lemma tent_unit z : unit_interval z -> unit_interval (tent z).
Proof. unfold unit_interval, tent, relu; intros; rcase; lra. Qed.
Lemma tent_lip : Lip unit_interval 2 tent.
Proof. intros x y Hx Hy; unfold unit_interval, tent, relu in *; rcase; lra. Qed.
Lemma tent_sym z : unit_interval z -> tent (1 - z) = tent z.
Proof. unfold unit_interval, tent, relu; intros; rcase; lra. Qed.

Lemma sawtooth_unit k : forall z, unit_interval z -> unit_interval (sawtooth k z).
Proof. induction k; simpl; intros; auto using tent_unit. Qed.
Lemma sawtooth_tent k : forall z, sawtooth k (tent z) = tent (sawtooth k z).
Proof. induction k; simpl; intros; auto. Qed.

(** ** lem-sawtooth *)
Theorem lem_sawtooth : forall k j t, (j < 2^k)%nat -> unit_interval t ->
  sawtooth k ((INR j + t) / 2^k) = if Nat.even j then t else 1 - t.
Proof.
  induction k; intros j t Hj Ht.
  - replace j with 0%nat by (simpl in Hj; lia). simpl. field.
  - assert (P : 0 < 2^k) by (apply pow_lt; lra).
    assert (PN : INR (2^k) = 2^k) by (rewrite pow_INR; reflexivity).
    cbn [sawtooth]. unfold unit_interval in Ht.
    destruct (Nat.lt_ge_cases j (2^k)) as [H|H].
    + assert (INR j + 1 <= 2^k).
      { rewrite <- PN, <- S_INR. apply le_INR. lia. }
      assert (0 <= INR j) by apply pos_INR.
      rewrite tent_l.
      * replace (2 * ((INR j + t) / 2^(S k))) with ((INR j + t) / 2^k) by (simpl; field; lra).
        apply IHk; auto.
      * simpl. split.
        { apply Rmult_le_pos; [lra|]. left; apply Rinv_0_lt_compat; lra. }
        apply (Rmult_le_reg_r (2 * 2^k)); [lra|]. field_simplify; lra.
    + simpl in Hj.
      assert (K1 : 2^k <= INR j).
      { rewrite <- PN. apply le_INR. lia. }
      assert (K2 : INR j + 1 <= 2 * 2^k).
      { rewrite <- PN, <- S_INR. replace 2 with (INR 2) by reflexivity.
        rewrite <- mult_INR. apply le_INR. lia. }
      rewrite tent_r.
      * set (i := (2 * 2^k - 1 - j)%nat).
        assert (Ei : INR i = 2 * 2^k - 1 - INR j).
        { unfold i. rewrite !minus_INR, mult_INR, PN by lia. simpl. lra. }
        replace (2 - 2 * ((INR j + t) / 2^(S k))) with ((INR i + (1 - t)) / 2^k)
          by (rewrite Ei; simpl; field; lra).
        rewrite IHk; [|unfold i; lia|unfold unit_interval; lra].
        assert (Ev : Nat.even i = negb (Nat.even j)).
        { unfold i.
          assert (X : Nat.even (2 * 2^k - 1 - j + j) = false).
          { replace (2 * 2^k - 1 - j + j)%nat with (S (2 * (2^k - 1)))%nat by lia.
            rewrite Nat.even_succ, <- Nat.negb_even, Nat.even_mul. reflexivity. }
          rewrite Nat.even_add in X.
          destruct (Nat.even (2 * 2^k - 1 - j)), (Nat.even j); simpl in *; congruence. }
        rewrite Ev. destruct (Nat.even j); simpl; lra.
      * simpl. split.
        { apply (Rmult_le_reg_r (2 * 2^k)); [lra|]. field_simplify; lra. }
        apply (Rmult_le_reg_r (2 * 2^k)); [lra|]. field_simplify; lra.
Qed.

(** ** lem-square *)
Lemma sq_S n : forall z, sq (S n) z = z - tent z / 2 + sq n (tent z) / 4.
Proof.
  induction n; intros.
  - simpl. lra.
  - change (sq (S (S n)) z) with (sq (S n) z - (/4)^(S (S n)) * sawtooth (S (S n)) z).
    rewrite IHn.
    change (sq (S n) (tent z)) with (sq n (tent z) - (/4)^(S n) * sawtooth (S n) (tent z)).
    simpl. lra.
Qed.

Lemma error_S n z : unit_interval z -> error (S n) z = error n (tent z) / 4.
Proof.
  intros H; unfold error; rewrite sq_S. unfold unit_interval in H.
  destruct (Rle_dec z (/2)).
  - rewrite tent_l by lra. field.
  - rewrite tent_r by lra. field.
Qed.

Lemma error_closed n : forall z, unit_interval z -> error n z = (/4)^n * (sawtooth n z * (1 - sawtooth n z)).
Proof.
  induction n; intros z H.
  - unfold error; simpl; ring.
  - rewrite error_S, IHn by auto using tent_unit. simpl. field.
Qed.

Theorem square_interpolates n j t : (j < 2^n)%nat -> unit_interval t ->
  sq n ((INR j + t) / 2^n) = (1 - t) * (INR j / 2^n)^2 + t * ((INR j + 1) / 2^n)^2.
Proof.
  intros Hj Ht.
  assert (P : 0 < 2^n) by (apply pow_lt; lra).
  assert (PN : INR (2^n) = 2^n) by (rewrite pow_INR; reflexivity).
  assert (INR j + 1 <= 2^n) by (rewrite <- PN, <- S_INR; apply le_INR; lia).
  assert (0 <= INR j) by apply pos_INR. unfold unit_interval in Ht.
  set (z := (INR j + t) / 2^n).
  assert (Hz : unit_interval z).
  { unfold z, unit_interval; split.
    - apply Rmult_le_pos; [lra|]. left; apply Rinv_0_lt_compat; lra.
    - apply (Rmult_le_reg_r (2^n)); [lra|]. field_simplify; lra. }
  assert (E := error_closed n z Hz). unfold error in E.
  replace (sawtooth n z * (1 - sawtooth n z)) with (t * (1 - t)) in E
    by (unfold z; rewrite lem_sawtooth by auto; destruct (Nat.even j); ring).
  replace (sq n z) with (z * z + (/ 4) ^ n * (t * (1 - t))) by lra.
  replace 4 with (2 * 2) by lra. rewrite Rinv_mult, Rpow_mult_distr.
  rewrite pow_inv by lra. unfold z. field. lra.
Qed.

Theorem lem_square_value n : forall z, unit_interval z -> 0 <= sq n z - z^2 <= (/4)^(S n).
Proof.
  intros z H. replace (z^2) with (z*z) by ring. fold (error n z).
  rewrite error_closed by auto. assert (unit_interval (sawtooth n z)) by auto using sawtooth_unit.
  assert (0 < (/4)^n) by (apply pow_lt; lra). unfold unit_interval in *. simpl.
  set (s := sawtooth n z) in *.
  assert (0 <= s * (1 - s)) by nra.
  assert (s * (1 - s) <= /4) by (assert (0 <= (s - /2) * (s - /2)) by apply Rle_0_sqr; lra).
  split; nra.
Qed.

Theorem lem_square_slope n : Lip unit_interval ((/2)^n) (fun z => sq n z - z^2).
Proof.
  assert (E : forall z, sq n z - z^2 = error n z) by (intros; unfold error; ring).
  intros x y Hx Hy. rewrite !E. clear E. revert x y Hx Hy.
  induction n; intros x y Hx Hy.
  - unfold error, unit_interval in *; simpl. rcase; nra.
  - rewrite !error_S by auto. assert (IH := IHn _ _ (tent_unit x Hx) (tent_unit y Hy)).
    assert (T := tent_lip x y Hx Hy). assert (0 < (/2)^n) by (apply pow_lt; lra).
    replace (error n (tent x) / 4 - error n (tent y) / 4)
      with ((error n (tent x) - error n (tent y)) * /4) by field.
    rewrite Rabs_mult, (Rabs_pos_eq (/4)) by lra. simpl. nra.
Qed.

Lemma sq_le n z : unit_interval z -> sq n z <= z.
Proof.
  intros Hz. induction n. simpl; lra.
  change (sq (S n) z) with (sq n z - (/4)^(S n) * sawtooth (S n) z).
  assert (unit_interval (sawtooth (S n) z)) by auto using sawtooth_unit. unfold unit_interval in *.
  assert (0 < (/4)^(S n)) by (apply pow_lt; lra). nra.
Qed.
Lemma sq_unit n z : unit_interval z -> unit_interval (sq n z).
Proof.
  intros H. assert (A := sq_le n z H). assert (B := lem_square_value n z H).
  unfold unit_interval in *. split; nra.
Qed.
Lemma sq_0 n : sq n 0 = 0.
Proof. assert (H : unit_interval 0) by (unfold unit_interval; lra). generalize (sq_le n 0 H), (sq_unit n 0 H). unfold unit_interval; lra. Qed.
Lemma sq_1 n : sq n 1 = 1.
Proof. assert (H : unit_interval 1) by (unfold unit_interval; lra). generalize (sq_le n 1 H), (lem_square_value n 1 H). unfold unit_interval; lra. Qed.
Theorem sq_sym n z : unit_interval z -> sq n (1 - z) = sq n z + 1 - 2 * z.
Proof.
  intros H. destruct n. simpl; lra.
  rewrite !sq_S, tent_sym by auto. lra.
Qed.

(** Slopes of [sq] are in [0,2]: differences over an interval. *)
Lemma sq_slope02 n : forall x y, 0 <= x -> x <= y -> y <= 1 ->
  0 <= sq n y - sq n x <= 2 * (y - x).
Proof.
  induction n; intros x y Hx Hxy Hy. simpl; lra.
  assert (A : forall u v, 0 <= u -> u <= v -> v <= /2 ->
            0 <= sq (S n) v - sq (S n) u <= v - u).
  { intros u v ? ? ?. rewrite !sq_S, !tent_l by lra.
    generalize (IHn (2*u) (2*v)). lra. }
  assert (B : forall u v, /2 <= u -> u <= v -> v <= 1 ->
            v - u <= sq (S n) v - sq (S n) u <= 2 * (v - u)).
  { intros u v ? ? ?. rewrite !sq_S, !tent_r by lra.
    generalize (IHn (2-2*v) (2-2*u)). lra. }
  destruct (Rle_dec y (/2)). { generalize (A x y). lra. }
  destruct (Rle_dec x (/2)). { generalize (A x (/2)), (B (/2) y). lra. }
  generalize (B x y). lra.
Qed.

(** The slope is nondecreasing: increments over intervals of equal length grow. *)
Theorem sq_convex n : forall x d h, 0 <= x -> 0 <= d -> 0 <= h -> x + d + h <= 1 ->
  sq n (x + h) - sq n x <= sq n (x + d + h) - sq n (x + d).
Proof.
  induction n; intros x d h Hx Hd Hh H1. simpl; lra.
  assert (SL : forall u, 0 <= u <= /2 -> sq (S n) u = sq n (2*u) / 4)
    by (intros u ?; rewrite sq_S, tent_l by lra; field).
  assert (SR : forall u, /2 <= u <= 1 -> sq (S n) u = 2*u - 1 + sq n (2-2*u) / 4)
    by (intros u ?; rewrite sq_S, tent_r by lra; field).
  (* both increments on the left half, or both on the right half *)
  assert (L : forall x d h, 0 <= x -> 0 <= d -> 0 <= h -> x + d + h <= /2 ->
     sq (S n) (x + h) - sq (S n) x <= sq (S n) (x + d + h) - sq (S n) (x + d)).
  { intros u e k ? ? ? ?. rewrite !SL by lra.
    generalize (IHn (2*u) (2*e) (2*k)).
    replace (2*u+2*k) with (2*(u+k)) by ring.
    replace (2*u+2*e+2*k) with (2*(u+e+k)) by ring.
    replace (2*u+2*e) with (2*(u+e)) by ring. lra. }
  assert (Rr : forall x d h, /2 <= x -> 0 <= d -> 0 <= h -> x + d + h <= 1 ->
     sq (S n) (x + h) - sq (S n) x <= sq (S n) (x + d + h) - sq (S n) (x + d)).
  { intros u e k ? ? ? ?. rewrite !SR by lra.
    generalize (IHn (2-2*(u+e+k)) (2*e) (2*k)).
    replace (2-2*(u+e+k)+2*k) with (2-2*(u+e)) by ring.
    replace (2-2*(u+e+k)+2*e+2*k) with (2-2*u) by ring.
    replace (2-2*(u+e+k)+2*e) with (2-2*(u+k)) by ring. lra. }
  (* slopes at most 1 on the left, at least 1 on the right *)
  assert (A : forall u v, 0 <= u -> u <= v -> v <= /2 ->
            sq (S n) v - sq (S n) u <= v - u).
  { intros u v ? ? ?. rewrite !SL by lra. generalize (sq_slope02 n (2*u) (2*v)). lra. }
  assert (B : forall u v, /2 <= u -> u <= v -> v <= 1 ->
            v - u <= sq (S n) v - sq (S n) u).
  { intros u v ? ? ?. rewrite !SR by lra. generalize (sq_slope02 n (2-2*v) (2-2*u)). lra. }
  destruct (Rle_dec (x + d + h) (/2)). { apply L; lra. }
  destruct (Rle_dec (/2) x). { apply Rr; lra. }
  destruct (Rle_dec (x + h) (/2)) as [H2|H2].
  - destruct (Rle_dec (/2) (x + d)) as [H3|H3].
    + generalize (A x (x+h)), (B (x+d) (x+d+h)). lra.
    + (* x <= x+h <= 1/2, x+d < 1/2 < x+d+h: split the right one at 1/2 *)
      set (k := /2 - (x + d)).
      generalize (L x d k), (A (x+k) (x+h)), (B (/2) (x+d+h)).
      replace (x + d + k) with (/2) by (unfold k; ring). unfold k in *. lra.
  - destruct (Rle_dec (/2) (x + d)) as [H3|H3].
    + (* x < 1/2 < x+h, 1/2 <= x+d *)
      set (k := x + h - /2).
      generalize (A x (/2)), (B (x+d) (x + d + h - k)), (Rr (/2) (x + d + h - k - /2) k).
      replace (/2 + k) with (x + h) by (unfold k; ring).
      replace (/2 + (x + d + h - k - /2) + k) with (x+d+h) by ring.
      replace (/2 + (x + d + h - k - /2)) with (x + d + h - k) by ring.
      unfold k in *. lra.
    + (* x < x+d < 1/2 < x+h < x+d+h: cancel the middle part *)
      generalize (A x (x+d)), (B (x+h) (x+d+h)). lra.
Qed.

(** The two bounds of lem-square are attained: the value at the middle of every cell, the slope at
    its ends. *)
Theorem square_value_attained n j : (j < 2^n)%nat ->
  let z := (INR j + /2) / 2^n in sq n z - z^2 = epsilon n.
Proof.
  intros Hj z. assert (P : 0 < 2^n) by (apply pow_lt; lra).
  assert (PN : INR (2^n) = 2^n) by (rewrite pow_INR; reflexivity).
  assert (INR j + 1 <= 2^n) by (rewrite <- PN, <- S_INR; apply le_INR; lia).
  assert (0 <= INR j) by apply pos_INR.
  assert (Hz : unit_interval z).
  { unfold z, unit_interval; split.
    - apply Rmult_le_pos; [lra|]. left; apply Rinv_0_lt_compat; lra.
    - apply (Rmult_le_reg_r (2^n)); [lra|]. field_simplify; lra. }
  replace (z^2) with (z * z) by ring. fold (error n z). rewrite error_closed by auto.
  unfold z. rewrite lem_sawtooth by (auto; unfold unit_interval; lra).
  unfold epsilon. simpl. destruct (Nat.even j); field.
Qed.

Theorem square_slope_attained n L : Lip unit_interval L (fun z => sq n z - z^2) -> delta n <= L.
Proof.
  intros H. apply Rnot_lt_le. intros C.
  assert (P : 0 < 2^n) by (apply pow_lt; lra).
  assert (D : delta n = / 2^n) by (unfold delta; apply pow_inv; lra).
  assert (D1 : 0 < delta n <= 1).
  { unfold delta. split. apply pow_lt; lra. rewrite <- (pow1 n). apply pow_incr; lra. }
  assert (L0 : 0 <= L).
  { assert (X := H 1 0 ltac:(unfold unit_interval; lra) ltac:(unfold unit_interval; lra)).
    rewrite Rminus_0_r, Rabs_R1, Rmult_1_r in X. eapply Rle_trans; [apply Rabs_pos|exact X]. }
  set (t := (delta n - L) / 2).
  assert (Ht : 0 < t) by (unfold t; lra).
  assert (Tu : 0 <= 2^n * t <= 1).
  { split. apply Rmult_le_pos; lra. apply (Rmult_le_reg_l (/ 2^n)). apply Rinv_0_lt_compat; auto.
    rewrite <- Rmult_assoc, Rinv_l, Rmult_1_l, Rmult_1_r by lra. rewrite <- D. unfold t; lra. }
  assert (J : (0 < 2^n)%nat) by (apply Nat.neq_0_lt_0, Nat.pow_nonzero; lia).
  assert (E : sq n t = delta n * t).
  { assert (X := square_interpolates n 0 (2^n * t) J Tu). cbn [INR] in X.
    replace ((0 + 2^n * t) / 2^n) with t in X by (field; lra). rewrite X, D. field. lra. }
  assert (X := H t 0 ltac:(unfold unit_interval, t; lra) ltac:(unfold unit_interval; lra)).
  cbv beta in X. rewrite E, sq_0 in X.
  replace (delta n * t - t^2 - (0 - 0^2)) with (t * (delta n - t)) in X by ring.
  rewrite Rminus_0_r, Rabs_pos_eq, (Rabs_pos_eq t) in X by (try lra; apply Rmult_le_pos; unfold t; lra).
  assert (Y : delta n - t <= L). { apply (Rmult_le_reg_l t); auto. lra. }
  unfold t in *. lra.
Qed.
