(** * Chapter 3: powers (lem-power)

    [even_step] and [odd_step] are the two steps of the recursion, with the errors of the book. *)
From Coq Require Import Reals Lra Lia Psatz Arith.
From Formal Require Import Definitions Chapter03_Square Chapter03_Product.
Open Scope R_scope.

Lemma pow_unit z k : unit_interval z -> unit_interval (z^k).
Proof. intros H. induction k; unfold unit_interval in *; simpl; nra. Qed.
Lemma pow_lip k : Lip unit_interval (INR k) (fun z => z^k).
Proof.
  induction k; intros x y Hx Hy. simpl; rcase; lra.
  rewrite S_INR. assert (K := IHk x y Hx Hy). cbv beta in *.
  simpl. replace (x * x^k - y * y^k) with (x * (x^k - y^k) + (x - y) * y^k) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult.
  generalize (pow_unit y k Hy); unfold unit_interval in *; intros.
  rewrite (Rabs_pos_eq x), (Rabs_pos_eq (y^k)) by lra.
  generalize (Rabs_pos (x-y)), (Rabs_pos (x^k-y^k)); intros. nra.
Qed.

Lemma pow_pos_even k z : z ^ Pos.to_nat (xO k) = z ^ Pos.to_nat k * z ^ Pos.to_nat k.
Proof. rewrite <- pow_add. f_equal. lia. Qed.
Lemma pow_pos_odd k z : z ^ Pos.to_nat (xI k) = z * (z ^ Pos.to_nat k * z ^ Pos.to_nat k).
Proof. rewrite <- pow_add. replace (Pos.to_nat (xI k)) with (S (Pos.to_nat k + Pos.to_nat k)) by lia. reflexivity. Qed.

Lemma Rabs_bd x a : Rabs x <= a -> - a <= x <= a.
Proof. rcase; lra. Qed.

Lemma even_step n q p k a b : 0 <= a -> 0 <= b ->
  (forall z, unit_interval z -> unit_interval (p z)) -> (forall z, q z = z ^ k) ->
  close unit_interval a b p q ->
  close unit_interval (2 * a + epsilon n) (2 * b + INR k * (delta n + 2 * a))
     (fun z => sq n (p z)) (fun z => q z * q z).
Proof.
  intros Ha Hb Hp Hq [V S]. split.
  - intros z Hz. assert (A := V z Hz).
    assert (B := error_bound n _ (Hp z Hz)). unfold error in B.
    assert (Q : unit_interval (q z)) by (rewrite Hq; apply pow_unit; auto).
    assert (P := Hp z Hz). unfold unit_interval in P, Q.
    replace (sq n (p z) - q z * q z)
      with ((sq n (p z) - p z * p z) + (p z - q z) * (p z + q z)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult.
    rewrite (Rabs_pos_eq (sq n (p z) - _)), (Rabs_pos_eq (p z + q z)) by lra.
    generalize (Rabs_pos (p z - q z)); intros. nra.
  - intros y x Hy Hx. cbv beta.
    assert (A := S y x Hy Hx). cbv beta in A.
    destruct (sq_secant n (p x) (p y) (Hp x Hx) (Hp y Hy)) as (s & E & Hs & Hd).
    assert (Vx := V x Hx). assert (Vy := V y Hy).
    assert (L := pow_lip k y x Hy Hx). cbv beta in L. rewrite <- !Hq in L.
    replace (sq n (p y) - q y * q y - (sq n (p x) - q x * q x))
      with (s * (p y - q y - (p x - q x))
        + ((s - (p x + p y)) + ((p x - q x) + (p y - q y))) * (q y - q x))
      by (replace (sq n (p y)) with (sq n (p x) + s * (p y - p x)) by lra; ring).
    eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult.
    assert (T : Rabs ((s - (p x + p y)) + ((p x - q x) + (p y - q y))) <= delta n + 2 * a).
    { eapply Rle_trans; [apply Rabs_triang|].
      generalize (Rabs_triang (p x - q x) (p y - q y)). lra. }
    rewrite (Rabs_pos_eq s) by lra.
    assert (s * Rabs (p y - q y - (p x - q x)) <= 2 * (b * Rabs (y - x)))
      by (generalize (Rabs_pos (p y - q y - (p x - q x))); intros; nra).
    assert (Rabs ((s - (p x + p y)) + ((p x - q x) + (p y - q y))) * Rabs (q y - q x)
       <= (delta n + 2 * a) * (INR k * Rabs (y - x))).
    { apply Rmult_le_compat; auto using Rabs_pos. }
    lra.
Qed.

Lemma odd_step n q r k a b : 0 <= a -> 0 <= b ->
  (forall z, unit_interval z -> unit_interval (r z)) -> (forall z, q z = z ^ k) ->
  close unit_interval a b r q ->
  close unit_interval (a + epsilon n) (b + a + (INR k + 1) * delta n)
     (fun z => mu n z (r z)) (fun z => z * q z).
Proof.
  intros Ha Hb Hr Hq [V S]. split.
  - intros z Hz. assert (A := V z Hz).
    assert (B := mu_value n z (r z) Hz (Hr z Hz)).
    replace (mu n z (r z) - z * q z)
      with ((mu n z (r z) - z * r z) + z * (r z - q z)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult.
    unfold unit_interval in Hz. rewrite (Rabs_pos_eq z) by lra.
    generalize (Rabs_pos (r z - q z)); intros. nra.
  - intros y x Hy Hx. cbv beta.
    assert (A := S y x Hy Hx). cbv beta in A.
    destruct (mu_secant n x y (r y) Hx Hy (Hr y Hy)) as (s & E & Hs & Hd).
    destruct (mu_secant n (r x) (r y) x (Hr x Hx) (Hr y Hy) Hx) as (t & F & Ht & Hc).
    rewrite !(mu_comm n _ x) in F.
    assert (Vy := V y Hy).
    assert (L := pow_lip k y x Hy Hx). cbv beta in L. rewrite <- !Hq in L.
    replace (mu n y (r y) - y * q y - (mu n x (r x) - x * q x))
      with (((s - r y) + (r y - q y)) * (y - x)
            + (t * (r y - q y - (r x - q x)) + (t - x) * (q y - q x)))
      by (replace (mu n y (r y)) with (mu n x (r x) + t * (r y - r x) + s * (y - x)) by lra; ring).
    eapply Rle_trans; [apply Rabs_triang|].
    eapply Rle_trans; [apply Rplus_le_compat_l, Rabs_triang|]. rewrite !Rabs_mult.
    assert (T1 : Rabs ((s - r y) + (r y - q y)) * Rabs (y - x) <= (delta n + a) * Rabs (y - x)).
    { apply Rmult_le_compat_r; [apply Rabs_pos|].
      eapply Rle_trans; [apply Rabs_triang|]. lra. }
    rewrite (Rabs_pos_eq t) by lra.
    assert (T2 : t * Rabs (r y - q y - (r x - q x)) <= b * Rabs (y - x))
      by (generalize (Rabs_pos (r y - q y - (r x - q x))); intros; nra).
    assert (T3 : Rabs (t - x) * Rabs (q y - q x) <= delta n * (INR k * Rabs (y - x)))
      by (apply Rmult_le_compat; auto using Rabs_pos).
    lra.
Qed.

Lemma power_error_pos n k : 0 <= power_error n k.
Proof. generalize (epsilon_pos n). induction k; simpl; lra. Qed.
Lemma IPR_INR k : IPR k = INR (Pos.to_nat k).
Proof. rewrite INR_IPR. reflexivity. Qed.
Lemma power_slope_pos n k : 0 <= power_slope n k.
Proof.
  generalize (epsilon_pos n) (delta_pos n); intros.
  induction k; simpl; try lra.
  - generalize (power_error_pos n k) (pos_INR (Pos.to_nat k)). rewrite IPR_INR. intros; nra.
  - generalize (power_error_pos n k) (pos_INR (Pos.to_nat k)). rewrite IPR_INR. intros; nra.
Qed.

Theorem lem_power n k :
  (forall z, unit_interval z -> 0 <= power n k z <= z) /\
  close unit_interval (power_error n k) (power_slope n k) (power n k) (fun z => z ^ Pos.to_nat k).
Proof.
  induction k as [k [R IH]|k [R IH]|].
  - assert (P01 : forall z, unit_interval z -> unit_interval (power n k z))
      by (intros z Hz; generalize (R z Hz); unfold unit_interval in *; lra).
    split.
    + intros z Hz. simpl. generalize (mu_min n z (sq n (power n k z)) Hz (sq_unit n _ (P01 z Hz))).
      rcase; lra.
    + assert (X := even_step n _ (power n k) (Pos.to_nat k) _ _ (power_error_pos n k) (power_slope_pos n k) P01 (fun z => eq_refl) IH).
      assert (Y := odd_step n (fun z => z ^ Pos.to_nat (xO k)) (fun z => sq n (power n k z)) (Pos.to_nat (xO k))
         (2 * power_error n k + epsilon n) (2 * power_slope n k + INR (Pos.to_nat k) * (delta n + 2 * power_error n k))).
      assert (EX : close unit_interval (power_error n (xI k)) (power_slope n (xI k)) (power n (xI k))
         (fun z => z * z ^ Pos.to_nat (xO k))).
      { simpl power_error. simpl power_slope. rewrite IPR_INR.
        replace (2 * INR (Pos.to_nat k) + 1) with (INR (Pos.to_nat (xO k)) + 1)
          by (rewrite Pos2Nat.inj_xO, mult_INR; simpl; ring).
        apply Y; auto.
        - generalize (power_error_pos n (xO k)); simpl; auto.
        - generalize (power_slope_pos n (xO k)); simpl; rewrite IPR_INR; auto.
        - intros; apply sq_unit; auto.
        - destruct X as [X1 X2]. split.
          + intros z Hz. rewrite pow_pos_even. apply X1; auto.
          + intros u v Hu Hv. rewrite !pow_pos_even. apply X2; auto. }
      destruct EX as [E1 E2]. split.
      * intros z Hz. rewrite pow_pos_odd, <- pow_pos_even. auto.
      * intros u v Hu Hv. rewrite !pow_pos_odd, <- !pow_pos_even. apply E2; auto.
  - assert (P01 : forall z, unit_interval z -> unit_interval (power n k z))
      by (intros z Hz; generalize (R z Hz); unfold unit_interval in *; lra).
    split.
    + intros z Hz. simpl. generalize (sq_le n _ (P01 z Hz)) (sq_unit n _ (P01 z Hz)) (R z Hz).
      unfold unit_interval; lra.
    + assert (X := even_step n _ (power n k) (Pos.to_nat k) _ _ (power_error_pos n k) (power_slope_pos n k) P01 (fun z => eq_refl) IH).
      simpl power_error. simpl power_slope. rewrite IPR_INR. destruct X as [X1 X2]. split.
      * intros z Hz. rewrite pow_pos_even. apply X1; auto.
      * intros u v Hu Hv. rewrite !pow_pos_even. apply X2; auto.
  - simpl. split; [intros z [? ?]; lra|]. split.
    + intros z Hz. replace (z - z * 1) with 0 by ring. rewrite Rabs_R0; lra.
    + intros x y ? ?. cbv beta. replace (x - x * 1 - (y - y * 1)) with 0 by ring.
      rewrite Rabs_R0. lra.
Qed.
