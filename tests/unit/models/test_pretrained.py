import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import h5py
import keras
import numpy as np
import pytest
from safetensors.numpy import save, save_file

from mmdist.errors import DataRefusedError, ResourceError
from mmdist.models.pretrained import check_weights, fetch_weights, load_layers, open_arrays, weights_location
from mmdist.spec.model import ApplicationSpec

RNG = np.random.default_rng(0)


def dense():
    layer = keras.layers.Dense(2, name="last")
    layer.build((None, 3))
    return layer


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file({"last/kernel": np.ones((3, 2), np.float32), "last/bias": np.full(2, 7, np.float32)}, path)
    return path


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves `tmp_path`, with a cache of its own; the paths that were asked for, by method."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(f"{self.command} {self.path}")

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", asked
        http.shutdown()


def test_by_path_and_hash(file):
    data, sha256 = fetch_weights(str(file), None)
    assert data == file.read_bytes()
    assert sha256 == hashlib.sha256(data).hexdigest()
    check_weights(str(file), sha256)
    with pytest.raises(DataRefusedError, match=f"expected: SHA-256 {'0' * 64}\n  received: SHA-256 {sha256}"):
        check_weights(str(file), "0" * 64)
    with pytest.raises(DataRefusedError, match="is not there"):
        check_weights(str(file.parent / "other.h5"), None)


def test_by_package_without_running_it(tmp_path, monkeypatch):
    package = tmp_path / "brought_along"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "net.h5").write_bytes(b"abc")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert fetch_weights("package:brought_along/net.h5", None)[0] == b"abc"
    for weights, reason in (
        ("package:not_there/net.h5", "`not_there`, which is not installed"),
        ("package:brought_along/../net.h5", r"the path `\.\./net\.h5`"),
        ("package:brought_along/other.h5", "other.h5"),
        ("package:os.path/net.h5", "not installed"),
    ):
        with pytest.raises(DataRefusedError, match=reason):
            check_weights(weights, None)


def test_over_http_once(file, server):
    root, asked = server
    url = f"{root}/{file.name}"
    check_weights(url, None)
    assert asked == [f"HEAD /{file.name}"]
    for _ in range(2):
        assert fetch_weights(url, None)[0] == file.read_bytes()
    assert asked[1:] == [f"GET /{file.name}"]
    with pytest.raises(DataRefusedError, match="is not the one"):
        check_weights(url, "0" * 64)  # what is in the cache is checked before the start
    with pytest.raises(DataRefusedError, match="HTTP 404"):
        check_weights(f"{root}/other.h5", None)


def test_a_machine_that_cannot_reach_it(server):
    with pytest.raises(ResourceError, match="to do: fetch the file elsewhere, and give its path"):
        check_weights("http://127.0.0.1:9/net.h5", None)


def test_imagenet_is_the_place_of_its_network():
    spec = ApplicationSpec(net="efficientnetv2b0", weights="imagenet")
    assert weights_location(spec).endswith("/efficientnetv2-b0_notop.h5")
    assert weights_location(ApplicationSpec(weights="/a/b.h5")) == "/a/b.h5"


def test_arrays_come_in_by_layer_and_name(file):
    layer = dense()
    load_layers([layer], open_arrays(file.read_bytes(), "net"))
    np.testing.assert_array_equal(layer.kernel, np.ones((3, 2)))
    np.testing.assert_array_equal(layer.bias, [7, 7])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"last/kernel": (3, 2)}, r"lacks 1 of 2 arrays of the network\n  expected: last/bias \(2,\)"),
        ({"last/kernel": (2, 3), "last/bias": (2,)}, r"does not fit .*kernel\n  expected: \(3, 2\)"),
        ({"last/kernel": (3, 2), "last/bias": (2,), "x/last/bias": (2,)}, "several arrays for last/bias"),
    ],
)
def test_arrays_that_do_not_fit_change_nothing(arrays, message):
    layer = dense()
    before = layer.kernel.numpy()
    data = save({name: np.ones(shape, np.float32) for name, shape in arrays.items()})
    with pytest.raises(DataRefusedError, match=message):
        load_layers([layer], open_arrays(data, "net"))
    np.testing.assert_array_equal(layer.kernel, before)


def test_a_grouped_convolution_fits_a_depthwise_one():
    layer = keras.layers.DepthwiseConv2D(3, use_bias=False, name="deep")
    layer.build((None, 8, 8, 4))
    grouped = RNG.random((3, 3, 1, 4), np.float32)
    load_layers([layer], open_arrays(save({"deep/kernel": grouped}), "net"))
    np.testing.assert_array_equal(layer.weights[0], grouped.transpose(0, 1, 3, 2))


def test_hdf5_whose_arrays_lie_elsewhere_is_refused(tmp_path):
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("last/kernel", (3, 2), "f4", external=[(str(tmp_path / "secret"), 0, 24)])
    with pytest.raises(DataRefusedError, match="last/kernel lies in another file"):
        open_arrays(path.read_bytes(), "net")


@pytest.mark.parametrize("data", [b"", b"junk", b"\x89HDF\r\n\x1a\njunk"])
def test_what_is_no_file_of_arrays_is_refused(data):
    with pytest.raises(DataRefusedError, match="expected: safetensors, or HDF5"):
        open_arrays(data, "net")
