"""Published networks of keras.applications as towers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import applications

from mmdist.models.draws import StochasticDepth
from mmdist.models.image.tower import ImageTower, places
from mmdist.models.normalization import CountedRows, InnerBatchNorm
from mmdist.models.pretrained import fetch_weights, load_layers, open_arrays, weights_location
from mmdist.models.seeds import seed_for
from mmdist.spec.model import ApplicationSpec, RegularizationSpec
from mmdist.spec.model.image.application import NetName

__all__ = ["ApplicationTower"]

# B batch, H height, W width, C channels, T = H' * W' places of the last feature map


class _Net(NamedTuple):
    build: Any
    mean: Sequence[float]
    deviation: Sequence[float]


_BARE = {"include_preprocessing": False}  # pictures are scaled here, alike for all networks
_CENTERED = ((0.5,) * 3, (0.5,) * 3)
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_NETS: dict[NetName, _Net] = {
    "mobilenetv2": _Net(lambda **facts: applications.MobileNetV2(**facts), *_CENTERED),
    "mobilenetv2_035": _Net(lambda **facts: applications.MobileNetV2(alpha=0.35, **facts), *_CENTERED),
    "efficientnetv2b0": _Net(lambda **facts: applications.EfficientNetV2B0(**facts, **_BARE), *_IMAGENET),
    "efficientnetv2b1": _Net(lambda **facts: applications.EfficientNetV2B1(**facts, **_BARE), *_IMAGENET),
    "efficientnetv2s": _Net(
        lambda **facts: applications.EfficientNetV2S(**facts, **_BARE), (128 / 255,) * 3, (128 / 255,) * 3
    ),
    "resnet50v2": _Net(lambda **facts: applications.ResNet50V2(**facts), *_CENTERED),
    "resnet101v2": _Net(lambda **facts: applications.ResNet101V2(**facts), *_CENTERED),
    "convnext_tiny": _Net(lambda **facts: applications.ConvNeXtTiny(**facts, **_BARE), *_IMAGENET),
    "convnext_small": _Net(lambda **facts: applications.ConvNeXtSmall(**facts, **_BARE), *_IMAGENET),
}


class ApplicationTower(ImageTower):
    """A network of keras.applications up to its last feature map, then the mean over all places.

    Its weights are drawn from the job's seed, and pictures are scaled as it was published with. Batch normalization is
    this house's: over the rows that count, of all replicas, with running statistics that move by a tenth per step.
    EfficientNetV2 drops blocks as published.

    Args:
        spec: The network, the size that pictures are scaled to, and where pretrained weights lie.
        regularization: Penalties on the kernels, and dropout of the pooled vector.
        image_size: Height and width of the pictures, in pixels.
        seed: The job's seed, which the weights are drawn from.

    Raises:
        JobFileError: where the pictures are too small.

    Ref: arXiv:1801.04381 (MobileNetV2), arXiv:2104.00298 (EfficientNetV2), arXiv:1603.05027 (ResNetV2),
    arXiv:2201.03545 (ConvNeXt).
    """

    def __init__(
        self, spec: ApplicationSpec, *, regularization: RegularizationSpec, image_size: tuple[int, int], seed: int
    ) -> None:
        super().__init__(spec, regularization=regularization, image_size=image_size, seed=seed)
        self.spec = spec
        published = _NETS[spec.net]
        self.mean, self.deviation = published.mean, published.deviation
        self._rows = CountedRows()
        size = spec.resize or image_size
        net = published.build(include_top=False, weights=None, input_shape=(*size, 3))
        self.net = keras.models.clone_model(net, clone_function=self._clone)
        self.add_head()

    @property
    def stages(self) -> list[list[Any]]:
        """The network's weights that training changes, a new stage wherever a convolution has a stride."""
        found: list[list[Any]] = [[]]
        for layer in _leaves(self.net):
            if max(getattr(layer, "strides", (1,))) > 1 and layer.trainable_weights and found[-1]:
                found.append([])
            found[-1] += layer.trainable_weights
        return found

    def load_pretrained(self) -> str | None:
        """Puts the pretrained weights into the network, and returns their file's SHA-256; None where there are none.

        Raises:
            DataRefusedError: where the file is not there, has another hash, or is of another network.
            ResourceError: where it cannot be fetched.
        """
        if self.spec.weights is None:
            return None
        weights = weights_location(self.spec)
        data, sha256 = fetch_weights(weights, self.spec.sha256)
        load_layers(list(_leaves(self.net)), open_arrays(data, weights))
        return sha256

    def features(self, image_BHWC: Any, present_B: Any, training: bool) -> tuple[Any, Any]:
        """Tokens float (B, T, channels of the network), and their mean."""
        if self.spec.resize is not None:
            image_BHWC = keras.ops.image.resize(image_BHWC, self.spec.resize, interpolation="bilinear")
        scale = keras.ops.convert_to_tensor(self.deviation, image_BHWC.dtype)
        image_BHWC = (image_BHWC - keras.ops.convert_to_tensor(self.mean, image_BHWC.dtype)) / scale
        with self._rows.are(present_B):
            tokens_BTC = places(self.net(image_BHWC, training=training and not self.is_frozen))
        return tokens_BTC, keras.ops.mean(tokens_BTC, axis=1)

    def _clone(self, layer: Any) -> Any:
        """A layer of the published network with seeds, penalties and normalization as every tower here has them."""
        config = layer.get_config()
        for key, value in config.items():
            if key.endswith("_initializer") and isinstance(value, dict) and "seed" in value["config"]:
                value["config"]["seed"] = seed_for(self.seed, f"kernel/image/{layer.name}/{key}")
        match layer:
            case keras.Sequential():
                return keras.models.clone_model(layer, clone_function=self._clone)
            case keras.layers.Dropout():  # of whole rows
                return StochasticDepth(layer.rate, seed=self.seed, name=layer.name)
            case keras.layers.BatchNormalization():
                return InnerBatchNorm(self._rows, name=layer.name, epsilon=layer.epsilon)
            case keras.layers.LayerNormalization():
                # ConvNeXt's last one has no name of its own, and would be called by a running number.
                config["name"] = "layer_normalization" if layer.name.startswith("layer_norm") else layer.name
            case keras.layers.DepthwiseConv2D():
                config["depthwise_regularizer"] = self.penalty
            case keras.layers.Conv2D() if layer.groups > 1:  # TensorFlow has no gradient of it on CPU
                return keras.layers.DepthwiseConv2D(
                    layer.kernel_size,
                    padding=layer.padding,
                    depthwise_initializer=config["kernel_initializer"],
                    depthwise_regularizer=self.penalty,
                    name=layer.name,
                )
            case keras.layers.Conv2D() | keras.layers.Dense():
                config["kernel_regularizer"] = self.penalty
        return type(layer).from_config(config)


def _leaves(model: Any) -> Any:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer
