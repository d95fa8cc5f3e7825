"""The conditional GAN: two networks, two optimisers, one step of training, and the moving average that is kept."""

import math
from collections.abc import Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from components.trainer import color, losses
from components.trainer.config import TrainerConfig, Vgg16Config
from components.trainer.initial_generator import load_initial_generator
from components.trainer.network_range import NetworkRange
from components.trainer.networks import build_discriminator, build_generator, load_pretrained
from components.trainer.precision import choose_precision
from components.trainer.variation import color_photos

# What a step reads, and `train_steps` gives the means of.
READINGS = (
    "generator_loss",
    "reconstruction_loss",
    "adversarial_loss",
    "discriminator_loss",
    "absolute_error",
    "colorfulness_loss",
    "color_repulsion",
    "real_called_real",
    "generated_called_real",
    "discriminator_accuracy",
    "generator_gradient_norm",
    "discriminator_gradient_norm",
    "color_diversity",
)


class ColorGan:
    """Generator and discriminator under the current strategy; make it inside `strategy.scope()`.

    Attributes:
        generator, discriminator: the networks that are trained; the discriminator is None in a recipe without one.
        averaged: a generator whose weights are the moving average of the trained one's. It is what is measured and
            exported, because the raw generator swings from step to step while the two networks compete.
        step, last_step: steps taken, and the one that the run is expected to end with, by which the rates decay.
        precision: Keras' dtype policy of the two trained networks.
        rate_factor: what a plateau has left of both learning rates.
    """

    def __init__(self, config: TrainerConfig):
        self.config = config
        self.strategy = tf.distribute.get_strategy()
        momentum = config.train.batch_norm_momentum
        self.range = NetworkRange(config.network)
        self.precision, _ = choose_precision(config.train.precision)
        keras.config.set_dtype_policy(self.precision)
        try:
            self.generator = build_generator(config.network, batch_norm_momentum=momentum, seed=config.seed)
            self.discriminator = build_discriminator(
                config.network, size=config.size, batch_norm_momentum=momentum, seed=config.seed + 1
            )
        finally:
            keras.config.set_dtype_policy("float32")
        if isinstance(config.network.generator, Vgg16Config):
            load_pretrained(self.generator, config.network.generator)
        if config.train.initial_generator is not None:
            load_initial_generator(self.generator, config)
        # Measured and exported in 32 bits, whatever the training computes in.
        self.averaged = build_generator(config.network, batch_norm_momentum=momentum, seed=config.seed)
        self.averaged.set_weights(self.generator.get_weights())
        compiles = config.train.xla
        self._step_on_replica = tf.function(self._replica_step, jit_compile=True) if compiles else self._replica_step
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.last_step = tf.Variable(float(config.train.steps), trainable=False, name="last_step")
        self.rate_factor = tf.Variable(1.0, trainable=False, name="rate_factor")
        adam = config.train.optimizer
        self.generator_optimizer = keras.optimizers.Adam(adam.generator_learning_rate, adam.beta_1, adam.beta_2)
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer = keras.optimizers.Adam(adam.discriminator_learning_rate, adam.beta_1, adam.beta_2)
        if self.discriminator:
            self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    @tf.function
    def train_steps(
        self, batches: tf.data.Iterator, count: tf.Tensor, *, adversarial: bool = True
    ) -> dict[str, tf.Tensor]:
        """Take `count` steps without returning to Python; the mean of each of `READINGS` over them.

        Args:
            batches: an iterator of the strategy's batches.
            count: int32, at least 1.
            adversarial: False trains the generator alone, whatever the recipe's adversarial weight.
        """
        adversarial = adversarial and self.config.train.loss.adversarial_weight > 0
        totals = dict.fromkeys(READINGS, tf.constant(0.0))
        for _ in tf.range(count):
            new = self._distributed_step(next(batches), adversarial)
            totals = {name: totals[name] + value for name, value in new.items()}
        return {name: total / tf.cast(count, tf.float32) for name, total in totals.items()}

    @tf.autograph.experimental.do_not_convert  # all its branches are Python's own, and converting takes seconds
    def _distributed_step(self, batch, adversarial: bool) -> dict[str, tf.Tensor]:
        adam, share = self.config.train.optimizer, self._share_of_rates()
        self.generator_optimizer.learning_rate.assign(share * adam.generator_learning_rate)
        self.discriminator_optimizer.learning_rate.assign(share * adam.discriminator_learning_rate)
        per_replica = self.strategy.run(self._step_on_replica, args=(batch, adversarial))
        readings = {
            name: self.strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for name, value in per_replica.items()
        }
        self._average_weights()
        return readings

    def _share_of_rates(self) -> tf.Tensor:
        """What the schedule and the plateaus leave of both learning rates in this step."""
        schedule, taken = self.config.train.schedule, tf.cast(self.step, tf.float32)
        share = self.rate_factor.read_value()
        if schedule.warm_up_steps:
            share *= tf.minimum(1.0, (taken + 1.0) / schedule.warm_up_steps)
        if schedule.decay == "cosine":
            share *= (1.0 + tf.cos(math.pi * tf.minimum(1.0, taken / self.last_step))) / 2.0
        return share

    def _replica_step(self, rgb: tf.Tensor, adversarial: bool) -> dict[str, tf.Tensor]:
        """One step on this replica's share of the batch, uint8 [n, S, S, 3].

        The generator runs once: both losses are read from the same output, and the discriminator sees real and
        generated photographs apart, each with its own batch statistics.
        """
        loss = self.config.train.loss
        photos = tf.cast(rgb, tf.float32) / 255.0
        gray, real = self.range.split(photos, spoil=self._spoil_lightness)
        global_batch = tf.cast(self.config.train.batch_size, tf.float32)
        adversary = discriminator = absolute_error = colorfulness = repulsion = tf.constant(0.0)
        real_score = fake_score = discriminator_norm = tf.constant(0.0)

        def mean(per_photo: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(per_photo) / global_batch

        with tf.GradientTape(persistent=True) as tape:
            fake = tf.cast(self.generator(gray, training=True), tf.float32)
            reconstruction = mean(
                losses.reconstruction_loss(
                    loss.reconstruction,
                    real,
                    fake,
                    huber_delta=self.range.from_steps(loss.huber_delta),
                    log_floor=self.range.from_steps(loss.log_floor),
                )
            )
            if adversarial:
                real_logits = tf.cast(self.discriminator([gray, real], training=True), tf.float32)
                fake_logits = tf.cast(self.discriminator([gray, fake], training=True), tf.float32)
                adversary = mean(losses.adversarial_loss(loss.adversarial, fake_logits))
                discriminator = loss.discriminator_weight * mean(
                    losses.discriminator_loss(loss.adversarial, real_logits, fake_logits, loss.label_smoothing)
                )
                real_score = mean(losses.called_real(loss.adversarial, real_logits))
                fake_score = mean(losses.called_real(loss.adversarial, fake_logits))
            if loss.absolute_error_weight > 0:
                absolute_error = mean(losses.reconstruction_loss("l1", real, fake) / self.range.from_steps(1.0))
            if loss.colorfulness_weight > 0:
                lack = losses.colorfulness_loss(self.range.chroma(real), self.range.chroma(fake))
                colorfulness = mean(lack / self.range.from_steps(1.0))
            if loss.color_repulsion_weight > 0:
                repulsion = mean(losses.color_repulsion(self.range.chroma(fake)))
            generator = (
                loss.reconstruction_weight * reconstruction
                + loss.adversarial_weight * adversary
                + loss.absolute_error_weight * absolute_error
                + loss.colorfulness_weight * colorfulness
                + loss.color_repulsion_weight * repulsion
            )

        generator_gradients = tape.gradient(generator, self.generator.trainable_variables)
        if adversarial:
            discriminator_gradients = tape.gradient(discriminator, self.discriminator.trainable_variables)
            discriminator_norm = tf.linalg.global_norm(discriminator_gradients)
            self.discriminator_optimizer.apply(discriminator_gradients, self.discriminator.trainable_variables)
        self.generator_optimizer.apply(generator_gradients, self.generator.trainable_variables)

        replicas = tf.cast(self.strategy.num_replicas_in_sync, tf.float32)
        return {
            "generator_loss": generator,
            "reconstruction_loss": reconstruction,
            "adversarial_loss": adversary,
            "discriminator_loss": discriminator,
            "absolute_error": absolute_error,
            "colorfulness_loss": colorfulness,
            "color_repulsion": repulsion,
            "real_called_real": real_score,
            "generated_called_real": fake_score,
            "discriminator_accuracy": (real_score + 1.0 / replicas - fake_score) / 2.0,
            "generator_gradient_norm": tf.linalg.global_norm(generator_gradients) / replicas,
            "discriminator_gradient_norm": discriminator_norm / replicas,
            "color_diversity": losses.color_diversity(self.range.chroma(fake), self.range.chroma(real)) / replicas,
        }

    def _spoil_lightness(self, lightness: tf.Tensor) -> tf.Tensor:
        """Exposure and grain of other cameras and papers: L* [n, H, W, 1] -> the same, as the augmentation says."""
        augmentation, photos = self.config.train.augmentation, tf.shape(lightness)[0]
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group

        def draw(purpose: int) -> tf.Tensor:
            replicas_seed = tf.random.experimental.stateless_fold_in([self.config.seed, purpose], replica)
            return tf.random.experimental.stateless_fold_in(replicas_seed, self.step)

        if augmentation.gamma > 0:
            power = tf.random.stateless_uniform([photos, 1, 1, 1], draw(0), -augmentation.gamma, augmentation.gamma)
            lightness = 100.0 * tf.pow(tf.clip_by_value(lightness / 100.0, 0.0, 1.0), tf.exp(power))
        if augmentation.grain > 0:
            deviation = tf.random.stateless_uniform([photos, 1, 1, 1], draw(1), 0.0, augmentation.grain)
            lightness += deviation * tf.random.stateless_normal(tf.shape(lightness), draw(2))
            lightness = tf.clip_by_value(lightness, 0.0, 100.0)
        return lightness

    def _average_weights(self) -> None:
        """average += (1 - decay) * (weight - average), with a shorter memory while the run is young."""
        self.step.assign_add(1)
        young = (1.0 + tf.cast(self.step, tf.float32)) / (10.0 + tf.cast(self.step, tf.float32))
        decay = tf.minimum(self.config.train.moving_average_decay, young)

        def move(average, weight):
            average.assign_sub((1.0 - decay) * (average - weight))

        for average, weight in zip(self.averaged.weights, self.generator.weights, strict=True):
            self.strategy.extended.update(average.value, move, args=(weight.value,))

    def named_variables(self) -> Iterator[tuple[str, tf.Variable]]:
        """All that changes while training, each under a name of its own, in an order that the config decides."""
        parts = {
            "generator": self.generator,
            "averaged": self.averaged,
            "discriminator": self.discriminator,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }
        yield "step", self.step
        yield "rate_factor", self.rate_factor
        for part, owner in parts.items():
            for number, variable in enumerate(owner.variables if owner else ()):
                # Not the path: Keras numbers the names of what it named itself through the whole process.
                yield f"{part}/{number:03d}/{variable.name}", variable.value

    def assign_variables(self, values: Mapping[str, np.ndarray]) -> None:
        """Take the values that `named_variables` gave before.

        Raises:
            KeyError, ValueError: a variable has no value or one of another shape; then nothing is taken.
        """
        taken = [(variable, values[name]) for name, variable in self.named_variables()]
        for variable, value in taken:
            if variable.shape != value.shape:
                raise ValueError(f"a variable has the shape {variable.shape}, its saved value {value.shape}")
        for variable, value in taken:
            variable.assign(value)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    def colorize(self, rgb: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Colour photographs with the averaged weights.

        Args:
            rgb: uint8 [N, S, S, 3], the true photographs, of which only the lightness is used.

        Returns:
            gray and coloured photographs, float32 [N, S, S, 3] in 0..1, and the predicted a*b*, float32 [N, S, S, 2].
        """
        lab = color.rgb_to_lab(tf.cast(rgb, tf.float32) / 255.0)
        lightness = lab[..., :1]
        ab = self.range.ab(color_photos(self.averaged, self.config.network, self.range.gray(lightness)))
        gray = color.lab_to_rgb(tf.concat([lightness, tf.zeros_like(ab)], axis=-1))
        return gray, color.lab_to_rgb(tf.concat([lightness, ab], axis=-1)), ab

    def measure(self, rgb: tf.Tensor) -> tuple[dict[str, float], np.ndarray]:
        """Quick figures on held-out squares, for the eye of whoever watches; the Evaluator's are the ones that count.

        Args:
            rgb: uint8 [N, S, S, 3].

        Returns:
            psnr_gain_db and ab_mae_ratio, both against the gray photo, and a picture uint8 [H, W, 3] of up to eight
            columns: gray above coloured above true.
        """
        chunks = [self.colorize(rgb[start : start + 16]) for start in range(0, len(rgb), 16)]
        gray, colored, ab = (tf.concat(parts, axis=0) for parts in zip(*chunks, strict=True))
        true = tf.cast(rgb, tf.float32) / 255.0
        true_ab = color.rgb_to_lab(true)[..., 1:]
        figures = {
            "psnr_gain_db": float(tf.reduce_mean(tf.image.psnr(true, colored, 1.0) - tf.image.psnr(true, gray, 1.0))),
            "ab_mae_ratio": float(tf.reduce_mean(tf.abs(ab - true_ab)) / tf.reduce_mean(tf.abs(true_ab))),
        }
        rows = [np.concatenate(list(photos[:8].numpy()), axis=1) for photos in (gray, colored, true)]
        return figures, np.round(np.concatenate(rows, axis=0) * 255).astype(np.uint8)
