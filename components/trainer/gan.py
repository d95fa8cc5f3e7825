"""The conditional GAN: two networks, two optimisers, one step of training, and the moving average that is kept."""

import math
from collections.abc import Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from components.trainer import color, losses
from components.trainer.augmentation import lightness_of_gray, spoil_lightness
from components.trainer.color_bins import color_bins
from components.trainer.color_distribution import rebalancing_weights, soft_encode
from components.trainer.colorings import color_photos
from components.trainer.config import AdamConfig, PretrainedUNetConfig, TrainerConfig, Vgg16Config
from components.trainer.generator_loss import BinnedBatch, JudgedBatch, generator_terms
from components.trainer.initial_generator import load_initial_generator
from components.trainer.network_range import NetworkRange
from components.trainer.networks.build import build_discriminator, build_generator
from components.trainer.networks.efficientnet_lite import load_imagenet
from components.trainer.networks.pretrained_unet import BINS_STRIDE
from components.trainer.networks.vgg16 import load_pretrained
from components.trainer.precision import choose_precision
from components.trainer.simulated_hints import simulate_hints

# What a step reads of the discriminator; its logits on generated photographs are among the generator's terms.
_JUDGEMENTS = ("discriminator_loss", "real_called_real", "generated_called_real")

# What a step finds of the bins' shares in its batch, and how fast the running estimate follows.
_BIN_SHARES = "bin_shares"
_BIN_SHARES_RATE = 0.01


class ColorGan:
    """Generator and discriminator under the current strategy; make it inside `strategy.scope()`.

    Attributes:
        generator, discriminator: the networks that are trained; the discriminator is None in a recipe without one.
        averaged: a generator whose weights are the moving average of the trained one's. It is what is measured and
            exported, because the raw generator swings from step to step while the two networks compete.
        step, last_step: steps taken, and the one that the run is expected to end with, by which the rates decay.
        precision: Keras' dtype policy of the two trained networks.
        rate_factor: what a plateau has left of both learning rates.
        terms: of the generator's loss.
        readings: the names of what a step reads; `train_steps` gives their means.
        bins: a*b* of the distribution's bins, float32 [bins, 2]; None where no distribution is trained.
        bin_shares: a running estimate of each bin's share of the photographs' pixels, float32 [bins], or None.
    """

    def __init__(self, config: TrainerConfig):
        self.config = config
        self.strategy = tf.distribute.get_strategy()
        momentum = config.train.batch_norm_momentum
        self.range = NetworkRange(config.network)
        self.terms = generator_terms(config.train.loss, self.range)
        self.readings = (
            "generator_loss",
            *(term.name for term in self.terms),
            *_JUDGEMENTS,
            "discriminator_accuracy",
            "generator_gradient_norm",
            "discriminator_gradient_norm",
            "color_diversity",
        )
        self.precision, _ = choose_precision(config.train.precision)
        keras.config.set_dtype_policy(self.precision)
        try:
            self.generator = build_generator(config.network, batch_norm_momentum=momentum, seed=config.seed)
            self.discriminator = build_discriminator(
                config.network, size=config.size, batch_norm_momentum=momentum, seed=config.seed + 1
            )
        finally:
            keras.config.set_dtype_policy("float32")
        self._load_weights()
        # Measured and exported in 32 bits, whatever the training computes in.
        self.averaged = build_generator(config.network, batch_norm_momentum=momentum, seed=config.seed)
        self.averaged.set_weights(self.generator.get_weights())
        compiles = config.train.xla
        self._step_on_replica = tf.function(self._replica_step, jit_compile=True) if compiles else self._replica_step
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.last_step = tf.Variable(float(config.train.steps), trainable=False, name="last_step")
        self.rate_factor = tf.Variable(1.0, trainable=False, name="rate_factor")
        self._make_optimizers(config.train.optimizer)
        self.bins: tf.Tensor | None = None
        self.bin_shares: tf.Variable | None = None
        network = config.network.generator
        if isinstance(network, PretrainedUNetConfig) and config.train.loss.distribution_weight:
            self.bins = tf.constant(color_bins(network.bin_spacing))
            even = tf.fill([len(self.bins)], 1.0 / len(self.bins))
            self.bin_shares = tf.Variable(even, trainable=False, name="bin_shares")

    def _load_weights(self) -> None:
        """Those of a trained generator, or of the pretrained part of a new one."""
        network = self.config.network.generator
        if self.config.train.initial_generator is not None:
            load_initial_generator(self.generator, self.config)
        elif isinstance(network, Vgg16Config):
            load_pretrained(self.generator, network)
        elif isinstance(network, PretrainedUNetConfig) and network.weights != "random":
            load_imagenet(self.generator.encoder, file=network.weights, sha256=network.weights_sha256)

    def _make_optimizers(self, adam: AdamConfig) -> None:
        def optimizer(rate: float, variables: list[keras.Variable], weight_decay: float = 0.0) -> keras.Optimizer:
            made = keras.optimizers.Adam(rate, adam.beta_1, adam.beta_2, weight_decay=weight_decay or None)
            if weight_decay:
                made.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
            if variables:
                made.build(variables)
            return made

        network = self.config.network.generator
        is_pretrained = isinstance(network, PretrainedUNetConfig)
        encoder = self.generator.encoder.trainable_variables if is_pretrained else []
        of_encoder = {id(variable) for variable in encoder}
        self._decoder_variables = [each for each in self.generator.trainable_variables if id(each) not in of_encoder]
        self._encoder_variables = encoder if adam.encoder_learning_rate > 0 else []
        self.generator_optimizer = optimizer(adam.generator_learning_rate, self._decoder_variables, adam.weight_decay)
        judge = self.discriminator.trainable_variables if self.discriminator else []
        self.discriminator_optimizer = optimizer(adam.discriminator_learning_rate, judge)
        self.encoder_optimizer: keras.Optimizer | None = None
        if self._encoder_variables:
            self.encoder_optimizer = optimizer(adam.encoder_learning_rate, self._encoder_variables, adam.weight_decay)

    @tf.function
    def train_steps(
        self, batches: tf.data.Iterator, count: tf.Tensor, *, adversarial: bool = True, encoder_learns: bool = True
    ) -> dict[str, tf.Tensor]:
        """Take `count` steps without returning to Python; the mean of each of `readings` over them.

        Args:
            batches: an iterator of the strategy's batches.
            count: int32, at least 1.
            adversarial: False trains the generator alone, whatever the recipe's adversarial weight.
            encoder_learns: False leaves a pretrained encoder as it is.
        """
        adversarial = adversarial and self.config.train.loss.adversarial_weight > 0
        totals = dict.fromkeys(self.readings, tf.constant(0.0))
        for _ in tf.range(count):
            new = self._distributed_step(next(batches), adversarial, encoder_learns)
            totals = {name: totals[name] + value for name, value in new.items()}
        return {name: total / tf.cast(count, tf.float32) for name, total in totals.items()}

    @tf.autograph.experimental.do_not_convert  # all its branches are Python's own, and converting takes seconds
    def _distributed_step(self, batch: tf.Tensor, adversarial: bool, encoder_learns: bool) -> dict[str, tf.Tensor]:
        adam, share = self.config.train.optimizer, self._share_of_rates()
        self.generator_optimizer.learning_rate.assign(share * adam.generator_learning_rate)
        self.discriminator_optimizer.learning_rate.assign(share * adam.discriminator_learning_rate)
        if self.encoder_optimizer:
            self.encoder_optimizer.learning_rate.assign(share * adam.encoder_learning_rate)
        per_replica = self.strategy.run(self._step_on_replica, args=(batch, adversarial, encoder_learns))
        readings = {
            name: self.strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for name, value in per_replica.items()
        }
        if self.bin_shares is not None:
            self.bin_shares.assign_add(_BIN_SHARES_RATE * (readings.pop(_BIN_SHARES) - self.bin_shares))
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

    def _replica_step(
        self, batch: tf.Tensor | tuple[tf.Tensor, ...], adversarial: bool, encoder_learns: bool
    ) -> dict[str, tf.Tensor]:
        """One step on this replica's share of the batch, uint8 [n, S, S, 3], or 4 with the aged gray.

        A batch of kept maps has them beside the photographs. The generator runs once: both losses are read from the
        same output, and the discriminator sees real and generated photographs apart, each with its own statistics.
        """
        judge = self.discriminator if adversarial else None
        apart = self.config.train.loss.discriminator_updates == "apart"
        photos, *maps = batch if isinstance(batch, tuple) else (batch,)
        gray, true = self._split(photos)
        encoder_learns = encoder_learns and self.encoder_optimizer is not None
        with tf.GradientTape(persistent=True) as tape:
            predicted, bins = self._predict(gray, true, maps, encoder_learns)
            logits, judgements = None, {}
            if judge is not None and apart:
                with tape.stop_recording():
                    judgements = self._update_judge_apart(judge, gray, true, predicted)
                logits = self._logits(judge, gray, predicted)
            elif judge is not None:
                logits, judgements = self._judge(judge, gray, true, predicted)
            judged = JudgedBatch(true, predicted, logits, bins)
            terms = [term for term in self.terms if term.counts(adversarial=judge is not None)]
            values = {term.name: self._mean(term.value(judged)) for term in terms}
            generator_loss = sum(term.weight * values[term.name] for term in terms)

        learning = [*self._decoder_variables, *(self._encoder_variables if encoder_learns else ())]
        generator_gradients = tape.gradient(generator_loss, learning)
        gradient_norm = tf.linalg.global_norm(generator_gradients)
        if (clip_norm := self.config.train.optimizer.clip_norm) is not None:
            longest = clip_norm / self.strategy.num_replicas_in_sync  # each replica has its share of the sum
            generator_gradients, _ = tf.clip_by_global_norm(generator_gradients, longest, use_norm=gradient_norm)
        replicas = tf.cast(self.strategy.num_replicas_in_sync, tf.float32)
        if judge is not None and not apart:
            gradients = tape.gradient(judgements["discriminator_loss"], judge.trainable_variables)
            judgements["discriminator_gradient_norm"] = tf.linalg.global_norm(gradients) / replicas
            self.discriminator_optimizer.apply(gradients, judge.trainable_variables)
        decoders = len(self._decoder_variables)
        self.generator_optimizer.apply(generator_gradients[:decoders], self._decoder_variables)
        if encoder_learns and self.encoder_optimizer is not None:
            self.encoder_optimizer.apply(generator_gradients[decoders:], self._encoder_variables)

        readings = dict.fromkeys(self.readings, tf.constant(0.0)) | {"generator_loss": generator_loss}
        readings |= values | judgements
        if bins is not None:
            readings[_BIN_SHARES] = self._mean(tf.reduce_mean(bins.true, axis=[1, 2]), axis=0)
        called_real, generated_called_real = readings["real_called_real"], readings["generated_called_real"]
        return readings | {
            "discriminator_accuracy": (called_real + 1.0 / replicas - generated_called_real) / 2.0,
            "generator_gradient_norm": gradient_norm / replicas,
            "color_diversity": losses.color_diversity(self.range.chroma(predicted), self.range.chroma(true)) / replicas,
        }

    def _split(self, photos: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Photographs, uint8 [n, S, S, 3], or 4 with the aged gray -> what the generator sees, and the true colours."""
        rgb, aged = tf.split(tf.cast(photos, tf.float32) / 255.0, [3, photos.shape[-1] - 3], axis=-1)
        return self.range.split(rgb, spoil=lambda lightness: self._spoil_lightness(lightness, aged))

    @tf.function
    def encode(self, photos: tf.Tensor) -> list[tf.Tensor]:
        """What a pretrained encoder sees of photographs, uint8 [N, S, S, 3 or 4]: its maps, float16."""
        gray, _ = self._split(photos)
        return [tf.cast(each, tf.float16) for each in self.generator.encode(gray)]

    def _predict(
        self, gray: tf.Tensor, true: tf.Tensor, maps: list[tf.Tensor], encoder_learns: bool
    ) -> tuple[tf.Tensor, BinnedBatch | None]:
        """The generator's colours while it learns and, where that is trained, their distribution and the true one."""
        network, loss = self.config.network.generator, self.config.train.loss
        if not isinstance(network, PretrainedUNetConfig):
            return tf.cast(self.generator(gray, training=True), tf.float32), None
        hints = self.config.train.hints
        if hints is not None:
            hints = simulate_hints(true, hints, seed=self.config.seed, step=self.step)
        color, logits = self.generator(gray, hints, maps or None, training=True, encoder_learns=encoder_learns)
        color = tf.cast(color, tf.float32)
        if self.bins is None or self.bin_shares is None:
            return color, None
        ab = tf.nn.avg_pool2d(true / self.range.from_steps(1.0), BINS_STRIDE, BINS_STRIDE, "VALID")
        weights = rebalancing_weights(self.bin_shares.read_value(), loss.uniform_share)
        return color, BinnedBatch(logits, soft_encode(ab, self.bins, network.bin_spacing), weights)

    def _judge(
        self, judge: keras.Model, gray: tf.Tensor, true: tf.Tensor, predicted: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The discriminator's logits on the generated photographs, and its readings: `_JUDGEMENTS`."""
        loss, (real_target, generated_target) = self.config.train.loss, self.config.train.loss.discriminator_targets
        real_logits, fake_logits = self._logits(judge, gray, true), self._logits(judge, gray, predicted)
        objective = losses.real_loss(loss.adversarial, real_logits, real_target) + losses.generated_loss(
            loss.adversarial, fake_logits, generated_target
        )
        return fake_logits, {
            "discriminator_loss": loss.discriminator_weight * self._mean(objective),
            "real_called_real": self._mean(losses.called_real(loss.adversarial, real_logits)),
            "generated_called_real": self._mean(losses.called_real(loss.adversarial, fake_logits)),
        }

    def _update_judge_apart(
        self, judge: keras.Model, gray: tf.Tensor, true: tf.Tensor, predicted: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The discriminator learns from the real photographs, then from the generated ones; its readings."""
        loss, (real_target, generated_target) = self.config.train.loss, self.config.train.loss.discriminator_targets
        values, called_real, gradients = [], [], []
        for photos, loss_on, target in (
            (true, losses.real_loss, real_target),
            (predicted, losses.generated_loss, generated_target),
        ):
            with tf.GradientTape() as tape:
                logits = self._logits(judge, gray, photos)
                value = loss.discriminator_weight * self._mean(loss_on(loss.adversarial, logits, target))
            values.append(value)
            called_real.append(self._mean(losses.called_real(loss.adversarial, logits)))
            gradients.append(tape.gradient(value, judge.trainable_variables))
            self.discriminator_optimizer.apply(gradients[-1], judge.trainable_variables)
        norm = tf.linalg.global_norm([real + generated for real, generated in zip(*gradients, strict=True)])
        return {
            "discriminator_loss": values[0] + values[1],
            "real_called_real": called_real[0],
            "generated_called_real": called_real[1],
            "discriminator_gradient_norm": norm / tf.cast(self.strategy.num_replicas_in_sync, tf.float32),
        }

    def _logits(self, judge: keras.Model, gray: tf.Tensor, color: tf.Tensor) -> tf.Tensor:
        """What the learning discriminator says of photographs, in 32 bits."""
        return tf.cast(judge([gray, color], training=True), tf.float32)

    def _mean(self, per_photo: tf.Tensor, axis: int | None = None) -> tf.Tensor:
        """This replica's share of the mean over the photos of all replicas."""
        return tf.reduce_sum(per_photo, axis=axis) / tf.cast(self.config.train.batch_size, tf.float32)

    def _spoil_lightness(self, lightness: tf.Tensor, aged: tf.Tensor) -> tf.Tensor:
        """What the network sees: of `aged`, gray [n, S, S, 1], or of the photo's own lightness where there is none."""
        lightness = lightness_of_gray(aged) if aged.shape[-1] else lightness
        return spoil_lightness(lightness, self.config.train.augmentation, seed=self.config.seed, step=self.step)

    def _average_weights(self) -> None:
        """average += (1 - decay) * (weight - average), with a shorter memory while the run is young."""
        self.step.assign_add(1)
        young = (1.0 + tf.cast(self.step, tf.float32)) / (10.0 + tf.cast(self.step, tf.float32))
        decay = tf.minimum(self.config.train.moving_average_decay, young)

        def move(average: tf.Variable, weight: tf.Tensor) -> None:
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
            "encoder_optimizer": self.encoder_optimizer,
        }
        yield "step", self.step
        yield "rate_factor", self.rate_factor
        if self.bin_shares is not None:
            yield "bin_shares", self.bin_shares
        for part, owner in parts.items():
            for number, variable in enumerate(owner.variables if owner else ()):
                # Not the path: Keras numbers the names of what it named itself through the whole process.
                yield f"{part}/{number:03d}/{variable.name}", variable.value

    def assign_variables(self, values: Mapping[str, np.ndarray]) -> None:
        """Take the values that `named_variables` gave before.

        Of a name its place and its last word count, `generator_optimizer/002/..._momentum`: what stands between them
        follows from the names of layers, which change from one version of the networks to another.

        Raises:
            KeyError, ValueError: a variable has no value or one of another shape; then nothing is taken.
        """
        known_as = {_place_and_kind(name): name for name in values}
        taken = [(variable, values[known_as[_place_and_kind(name)]]) for name, variable in self.named_variables()]
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
            rows and three columns: gray, coloured, true.
        """
        chunks = [self.colorize(rgb[start : start + 16]) for start in range(0, len(rgb), 16)]
        gray, colored, ab = (tf.concat(parts, axis=0) for parts in zip(*chunks, strict=True))
        true = tf.cast(rgb, tf.float32) / 255.0
        true_ab = color.rgb_to_lab(true)[..., 1:]
        figures = {
            "psnr_gain_db": float(tf.reduce_mean(tf.image.psnr(true, colored, 1.0) - tf.image.psnr(true, gray, 1.0))),
            "ab_mae_ratio": float(tf.reduce_mean(tf.abs(ab - true_ab)) / tf.reduce_mean(tf.abs(true_ab))),
        }
        columns = [np.concatenate(list(photos[:8].numpy()), axis=0) for photos in (gray, colored, true)]
        return figures, np.round(np.concatenate(columns, axis=1) * 255).astype(np.uint8)


def _place_and_kind(name: str) -> tuple[str, str]:
    return name.rpartition("/")[0], name.rpartition("/")[2].rpartition("_")[2]
