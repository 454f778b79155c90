"""Where the weights of keras.applications that were trained on ImageNet lie."""

from mmdist.spec.model import ApplicationSpec, PretrainedSpec
from mmdist.spec.model.image.application import NetName

__all__ = ["weights_location"]

_ROOT = "https://storage.googleapis.com/tensorflow/keras-applications"
_FILES: dict[NetName, str] = {
    "mobilenetv2": "mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    "mobilenetv2_035": "mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5",
    "efficientnetv2b0": "efficientnet_v2/efficientnetv2-b0_notop.h5",
    "efficientnetv2b1": "efficientnet_v2/efficientnetv2-b1_notop.h5",
    "efficientnetv2s": "efficientnet_v2/efficientnetv2-s_notop.h5",
    "resnet50v2": "resnet/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "resnet101v2": "resnet/resnet101v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "convnext_tiny": "convnext/convnext_tiny_notop.h5",
    "convnext_small": "convnext/convnext_small_notop.h5",
}


def weights_location(spec: PretrainedSpec) -> str:
    """Path or URL of a spec's weights, which it must have; `imagenet` is that of its network without the top."""
    if isinstance(spec, ApplicationSpec) and spec.weights == "imagenet":
        return f"{_ROOT}/{_FILES[spec.net]}"
    return str(spec.weights)
