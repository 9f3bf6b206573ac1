"""Your own images: what is read, how it is split, what is refused, and the three notebooks on them."""

import concurrent.futures
import json
import os
import shutil
import time
import types

import elpv
import export
import images
import keras
import notebooks
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from test_notebooks import run

RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """`images.prepare` of the folder tmp_path/photos, writing below tmp_path; returns arrays by name and images.json."""
    monkeypatch.setattr(images, "ROOT", tmp_path)

    def call(size=16):
        folder = images.prepare(tmp_path / "photos", size)
        return {name: np.load(folder / f"{name}.npy") for name in images.ARRAYS}, notebooks.read(
            folder / "images.json"
        )

    return call


@pytest.fixture
def save(tmp_path):
    """A function that saves an array or image as tmp_path/photos/<name>."""

    def call(name, pixels, **options):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **options)
        return path

    return call


def plain(colour, height=20, width=20):
    """An image of one colour."""
    return np.full((height, width, 3), colour, "uint8")


def test_centre_square_is_kept(prepare, save):
    """Of a wide and of a high picture in three colours the middle one stays."""
    save("wide.png", np.hstack([plain(RED, 30, 30), plain(GREEN, 30, 30), plain(BLUE, 30, 30)]))
    save("high.jpg", np.vstack([plain(RED, 30, 30), plain(GREEN, 30, 30), plain(BLUE, 30, 30)]), quality=95)
    arrays, about = prepare()
    x = np.concatenate([arrays["x_train"], arrays["x_test"]])
    assert x.shape == (2, 16, 16, 3) and x.dtype == "uint8"
    assert np.abs(x[:, 1:-1, 1:-1].astype(int) - GREEN).max() < 12
    assert about["channels"] == 3 and about["classes"] == [] and (about["train"], about["test"]) == (1, 1)


def test_a_linked_class_that_is_renamed_is_read_again(prepare, save, tmp_path):
    """What it links to is the same, its name is not."""
    for i in range(2):
        save(f"cat/{i}.png", plain(RED))
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        Image.fromarray(plain(BLUE)).save(tmp_path / "elsewhere" / f"{i}.png")
    link = tmp_path / "photos" / "dog"
    link.symlink_to(tmp_path / "elsewhere")
    assert prepare()[1]["classes"] == ["cat", "dog"]
    link.rename(tmp_path / "photos" / "wolf")
    assert prepare()[1]["classes"] == ["cat", "wolf"]


def test_large_pictures_are_smoothed_before_they_are_made_small(prepare, save):
    """A chessboard of single pixels becomes grey, not black or white."""
    board = np.uint8(255 * (np.indices((160, 160)).sum(axis=0) % 2))
    save("a.png", board)
    save("b.png", board)
    assert np.abs(prepare()[0]["x_train"].astype(int) - 128).max() < 20


def test_a_camera_held_upright(prepare, save):
    """The orientation that cameras write beside the pixels is followed: red, at the left in the file, was at the top."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    for name in ("a.jpg", "b.jpg"):
        save(
            name, Image.fromarray(np.hstack([plain(RED, 40, 20), plain(BLUE, 40, 20)])), exif=exif, quality=95
        )
    (x,) = prepare()[0]["x_train"].astype(int)
    assert np.abs(x[2] - RED).max() < 12 and np.abs(x[-2] - BLUE).max() < 12


def test_grey_images_have_one_channel(prepare, save):
    """Also if they are stored as red, green and blue, or with 16 bits; one image in colour makes all of them colour."""
    save("a.png", np.full((20, 20), 90, "uint8"))
    save("b.jpg", plain((90, 90, 90)))
    save("c.png", np.full((20, 20), 90 * 257, "uint16"))
    arrays, about = prepare()
    assert arrays["x_train"].shape == (2, 16, 16, 1) and about["channels"] == 1
    assert {int(v) for name in ("x_train", "x_test") for v in np.unique(arrays[name])} <= {89, 90, 91}
    save("d.png", plain(RED))
    assert prepare()[1]["channels"] == 3


def test_about_a_fifth_is_for_testing(prepare, save):
    """Labels belong to their images, which are told apart by brightness; no image is lost or in both parts."""
    for name, number, first in (("dark", 20, 0), ("light", 35, 100)):
        for i in range(number):
            save(f"{name}/deeper/{i}.png", plain((first + 2 * i,) * 3))
    arrays, about = prepare()
    assert about["classes"] == arrays["classes"].tolist() == ["dark", "light"]
    assert about["train"] + about["test"] == 55 and 3 <= about["test"] <= 22
    assert about["smallest_class"] == np.bincount(arrays["y_train"]).min() and set(arrays["y_test"]) == {0, 1}
    seen = []
    for part in ("train", "test"):
        level = arrays[f"x_{part}"][:, 8, 8, 0]
        assert np.array_equal(level >= 100, arrays[f"y_{part}"] == 1)
        seen += level.tolist()
    assert sorted(seen) == sorted([*range(0, 40, 2), *range(100, 170, 2)])
    assert not np.array_equal(np.sort(arrays["y_train"]), arrays["y_train"]), "the order should be random"


@pytest.mark.parametrize("below", ["{}", "{}/deeper", ""])
def test_a_folder_that_is_split_stays_so(below, prepare, save, capsys):
    """Classes lie below its parts, if there are any; a file in both parts is told of."""
    for i in range(12):
        save(f"Train/{below.format('cat' if i % 2 else 'dog')}/{i}.png", plain((2 * i,) * 3))
    for i in range(4):
        save(f"val/{below.format('cat' if i % 2 else 'dog')}/{i}.png", plain((100 + 2 * i,) * 3))
    arrays, about = prepare()
    assert (about["train"], about["test"]) == (12, 4) and "copies" not in capsys.readouterr().out
    assert about["classes"] == (["cat", "dog"] if below else [])
    for part, first in (("train", 0), ("test", 100)):
        level = arrays[f"x_{part}"][:, 8, 8, 0]
        assert set(level) == {first + 2 * i for i in range(about[part])}
        assert not np.array_equal(np.sort(level), level), "the order should be random"
        assert np.array_equal(arrays[f"y_{part}"] == 0, level // 2 % 2 == 1) or not below
    save(f"val/{below.format('dog')}/copy.png", plain((4,) * 3))
    assert (
        prepare()[1]["test"] == 5
        and "1 images are there both to learn from and to test:" in capsys.readouterr().out
    )


def test_an_image_keeps_its_part_when_others_come(prepare, save):
    """So an encoder never meets in a test what it was trained on."""

    def parts():
        arrays = prepare()[0]
        return [set(arrays[f"x_{part}"][:, 8, 8, 0].tolist()) for part in ("train", "test")]

    for i in range(10, 60):
        save(f"{i}.png", plain((2 * i,) * 3))
    train, test = parts()
    for i in range(10):
        save(f"a{i}.png", plain((2 * i,) * 3))
    more_train, more_test = parts()
    assert train <= more_train and test <= more_test and len(more_train | more_test) == 60


def test_each_class_is_in_both_parts():
    """Even if the digests of its files would have it otherwise."""
    labels = np.array([0, 0, 1, 1, 2, 2])
    train, test = images.split(labels, ["5", "a", "1", "2", "5", "1"], [""] * 6)
    assert sorted(labels[train]) == sorted(labels[test]) == [0, 1, 2]


def test_transparent_pictures_lie_on_white(prepare, save):
    for name in ("a.png", "b.png"):
        save(name, Image.new("RGBA", (20, 20), (0, 0, 0, 0)))
    assert (prepare()[0]["x_train"] == 255).all()


def test_linked_classes_and_other_files(prepare, save, tmp_path, capsys):
    """A class may be a link to a folder elsewhere; files of other kinds are counted."""
    for i in range(3):
        save(f"cat/{i}.png", plain(RED))
        save(f"../elsewhere/{i}.png", plain(BLUE))
    (tmp_path / "photos" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "cat" / "3.webp").write_text("not read")
    assert prepare()[1]["classes"] == ["cat", "dog"]
    assert "1 .webp" in capsys.readouterr().out


def test_unreadable_files_are_skipped_and_named(prepare, save, capsys):
    for i in range(5):
        save(f"{i}.png", plain(RED))
    whole = save("cut.jpg", np.random.default_rng(0).integers(0, 256, (60, 60, 3), "uint8"))
    whole.write_bytes(whole.read_bytes()[:1500])
    whole.with_name("text.png").write_text("this is no picture")
    whole.with_name("notes.txt").write_text("this is not looked at")
    whole.with_name("._0.png").write_text("nor is what is hidden")
    about = prepare()[1]
    assert about["skipped"] == ["cut.jpg", "text.png"] and about["train"] + about["test"] == 5
    told = capsys.readouterr().out
    assert "cut.jpg" in told and "text.png" in told and "2 files skipped" in told


def nothing(folder, save):
    """A folder that is not there."""


def empty(folder, save):
    """One without images."""
    (folder / "photos").mkdir()


def single(folder, save):
    """One image."""
    save("a.png", plain(RED))


def broken(folder, save):
    """Nothing that can be read."""
    (folder / "photos").mkdir()
    (folder / "photos" / "a.png").write_text("no picture")


def lonely(folder, save):
    """A class with one image."""
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        save(name, plain(RED))


def mixed(folder, save):
    """Images beside sub-folders."""
    for name in ("cat/1.png", "cat/2.png", "1.png"):
        save(name, plain(RED))


def divided(folder, save):
    """Three parts: which is for testing?"""
    for name in ("train/cat/1.png", "test/cat/1.png", "val/cat/1.png"):
        save(name, plain(RED))


def untested(folder, save):
    """A class without test images."""
    for name in ("train/cat/1.png", "train/dog/1.png", "train/dog/2.png", "test/cat/1.png"):
        save(name, plain(RED))


def halved(folder, save):
    """A part to learn from, and none to test with: its name is no class."""
    for name in ("train/cat/1.png", "train/cat/2.png", "train/dog/1.png", "train/dog/2.png"):
        save(name, plain(RED))


def beside(folder, save):
    """Test images beside classes."""
    for name in ("train/cat/1.png", "train/cat/2.png", "test/1.png"):
        save(name, plain(RED))


@pytest.mark.parametrize(
    "make", [nothing, empty, single, broken, lonely, mixed, divided, untested, halved, beside]
)
def test_wrong_folders_get_one_sentence(make, prepare, save, tmp_path, one_sentence):
    make(tmp_path, save)
    with pytest.raises(SystemExit) as stop:
        prepare()
    one_sentence(stop.value.code)
    assert "photos" in stop.value.code and not list(tmp_path.glob("data/*"))


@pytest.mark.parametrize("size", [0, 257])
def test_wrong_size(size, prepare, save, one_sentence):
    save("a.png", plain(RED))
    with pytest.raises(SystemExit) as stop:
        prepare(size)
    one_sentence(stop.value.code)


def test_what_is_there_is_used_until_the_folder_changes(prepare, save, tmp_path, capsys):
    """And a folder that has become wrong does not take away what was there."""
    for i in range(5):
        save(f"{i}.png", plain(RED))
    first = prepare()[1]
    assert prepare()[1] == first and capsys.readouterr().out.count("reading") == 1
    save("5.png", plain(BLUE))
    second = prepare()[1]
    assert second["sha256"] != first["sha256"] and second["train"] + second["test"] == 6
    shutil.rmtree(tmp_path / "photos")
    empty(tmp_path, save)
    with pytest.raises(SystemExit):
        prepare()
    assert notebooks.read(tmp_path / "data" / "photos-16px" / "images.json") == second


def test_arrays_larger_than_the_disk_get_one_sentence(prepare, save, monkeypatch, tmp_path, one_sentence):
    for i in range(5):
        save(f"{i}.png", plain(RED))
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: types.SimpleNamespace(free=5 * 16 * 16 * 3 * 2 - 1)
    )
    with pytest.raises(SystemExit) as stop:
        prepare()
    one_sentence(str(stop.value))
    assert not list((tmp_path / "data").iterdir()), "nothing is left"


def test_two_that_prepare_at_once_take_turns(prepare, save, monkeypatch):
    """The second waits, and finds what the first has made."""
    for i in range(5):
        save(f"{i}.png", plain(RED))
    at_it, most, fill = [], [], images.fill

    def slow(*arguments):
        at_it.append(1)
        time.sleep(0.5)
        most.append(len(at_it))
        fill(*arguments)
        at_it.pop()

    monkeypatch.setattr(images, "fill", slow)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first, second = (found.result() for found in [pool.submit(prepare), pool.submit(prepare)])
    assert first[1] == second[1] and most == [1]


def test_a_folder_of_somebody_else_is_left_alone(prepare, save, tmp_path, one_sentence):
    """Whether it is no folder of arrays, or that of other images with the same name."""
    for i in range(5):
        save(f"{i}.png", plain(RED))
        save(f"../other/photos/{i}.png", plain(BLUE))
    mine = tmp_path / "data" / "photos-16px"
    mine.mkdir(parents=True)
    (mine / "precious.txt").write_text("mine")
    with pytest.raises(SystemExit) as stop:
        prepare()
    one_sentence(stop.value.code)
    assert (mine / "precious.txt").read_text() == "mine"
    shutil.rmtree(mine)
    about = prepare()[1]
    with pytest.raises(SystemExit) as stop:
        images.prepare(tmp_path / "other" / "photos", 16)
    one_sentence(stop.value.code)
    assert notebooks.read(mine / "images.json") == about


@pytest.fixture
def settings(prepare, save, tmp_path, monkeypatch):
    """A function: what is wrong with pre-training on 40 x 40 images of tmp_path/photos, the smallest 6 pixels wide."""
    for i in range(40):
        save(f"{i}.png", plain((i, 0, 0), 20 if i else 6))
    prepare(40)
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    defaults = {
        name.lower(): value for name, value in notebooks.parameters(ROOT / notebooks.PRETRAINING).items()
    }
    train = notebooks.read(tmp_path / "data/photos-40px/images.json")["train"]
    own = {"images": "data/photos-40px", "train_images": train, "batch_size": 8, "patch_size": 5}
    return lambda **change: notebooks.problem(defaults | own | change)


def test_good_settings_pass(settings):
    assert settings() is None and settings(patch_size=2, validation_images=8) is None


@pytest.mark.parametrize(
    "change, says",
    [
        ({"patch_size": 6}, "does not divide 40"),
        ({"patch_size": 8}, "0.png"),
        ({"train_images": 40}, "TRAIN_IMAGES 40 must be at most 28"),
        ({"batch_size": 40}, "BATCH_SIZE"),
        ({"images": "data/other"}, "scripts/images.py"),
        ({"encoder": "runs/none", "test_images": 8}, "no classes"),
    ],
    ids=str,
)
def test_wrong_settings_get_one_sentence(settings, change, says, one_sentence):
    one_sentence(settings(**change))
    assert says in settings(**change)


@pytest.mark.parametrize(
    "words", [["IMAGE_SIZE=64"], ["IMAGES=photos"], ["IMAGES=no-such-folder", "IMAGE_SIZE=8"]]
)
def test_wrong_words_get_one_sentence(words, one_sentence):
    with pytest.raises(SystemExit) as stop:
        notebooks.arguments(notebooks.PRETRAINING, words)
    one_sentence(stop.value.code)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, mae):
    """Photographs of CIFAR-10 saved by hand as files of many sizes, two classes, and a tiny run on them: (folder, run)."""
    x, y, *_ = mae["load_cifar10"](ROOT / "data")
    photos, rng = tmp_path_factory.mktemp("own") / "test-photos", np.random.default_rng(0)
    for label, name in ((3, "cat"), (8, "ship")):
        (photos / name).mkdir(parents=True)
        for i in np.flatnonzero(y == label)[:60]:
            size = tuple(int(side) for side in rng.integers(30, 70, 2))
            Image.fromarray(x[i]).resize(size).save(photos / name / f"{i}.{'jpg' if i % 2 else 'png'}")
    folder = ROOT / "runs" / "test-own"
    shutil.rmtree(folder, ignore_errors=True)
    words = ["RUN=test-own", f"IMAGES={photos}", "IMAGE_SIZE=24", "PATCH_SIZE=6", "ENCODER_LAYERS=2"]
    words += [
        "DECODER_LAYERS=1",
        "EPOCHS=2",
        "WARMUP_EPOCHS=1",
        "BATCH_SIZE=32",
        "MUON=False",
    ]  # Muon takes long to compile
    done = run("tensorflow", notebooks.PRETRAINING, *words)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    yield photos, folder, words
    for path in (folder, ROOT / "data" / "test-photos-24px", *(ROOT / "runs").glob("test-own-*")):
        shutil.rmtree(path, ignore_errors=True)


def test_encoder_takes_their_mean_and_spread(trained):
    _, folder, _ = trained
    x = np.load(ROOT / "data" / "test-photos-24px" / "x_train.npy").astype("float32")
    encoder = keras.saving.load_model(folder / "encoder.keras")
    scaled = encoder.get_layer("scale_pixels")(x)
    assert abs(float(np.mean(scaled))) < 1e-3 and abs(float(np.std(scaled)) - 1) < 1e-3
    card = notebooks.read(folder / "card.json")
    assert card["images"] == {"size": 24, "channels": 3, "classes": ["cat", "ship"]}
    assert (
        card["images_sha256"] == notebooks.read(ROOT / "data" / "test-photos-24px" / "images.json")["sha256"]
    )
    about = notebooks.read(ROOT / "data" / "test-photos-24px" / "images.json")
    assert card["data"] == f"test-photos, {about['train']} training images without their labels"
    assert "licence" not in card
    results = notebooks.read(folder / "results.json")
    assert results["images"] == about["test"] and 0 < results["linear_probe"] <= 100


@pytest.mark.parametrize(
    "notebook, words",
    [
        (notebooks.PROBE, []),
        (notebooks.CLASSIFICATION, ["LABELS_PER_CLASS=10", "BATCH_SIZE=10", "EPOCHS=2", "WARMUP_EPOCHS=1"]),
    ],
)
def test_the_other_notebooks_take_them_too(trained, notebook, words):
    """Size and numbers of images come from the encoder and the folder."""
    photos, folder, _ = trained
    name = f"test-own-{notebook.split('-')[0]}"
    faster = "jax" if "JAX_PYTHON" in os.environ else "tensorflow"
    done = run(faster, notebook, f"RUN={name}", f"IMAGES={photos}", f"ENCODER=runs/{folder.name}", *words)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    results = json.loads((ROOT / "runs" / name / "results.json").read_text())
    about = notebooks.read(ROOT / "data" / "test-photos-24px" / "images.json")
    if notebook == notebooks.PROBE:
        assert results["images"] == {
            "training": about["train"],
            "of these validation": about["train"] // 10,
            "test": about["test"],
        }
        assert set(results["test"]) == {"probe, final tokens", "probe, all blocks", "neighbours"}
    else:
        assert results["images"] == about["test"] and 0 < results["accuracy"] <= 100


def test_fewer_of_them_hold_out_fewer(trained):
    """A tenth of what is trained on chooses the settings of the probe."""
    photos, folder, _ = trained
    words = [f"IMAGES={photos}", f"ENCODER=runs/{folder.name}", "TRAIN_IMAGES=20"]
    assert notebooks.arguments(notebooks.PROBE, words)["VALIDATION_IMAGES"] == 2


def test_wrong_uses_get_one_sentence(trained, monkeypatch, one_sentence):
    """Images of another size than the encoder's, other files under the same name, a release."""
    import release

    folder = trained[1]
    probe = {name.lower(): value for name, value in notebooks.parameters(notebooks.PROBE).items()}
    sentence = notebooks.problem(probe | {"encoder": f"runs/{folder.name}"})
    one_sentence(sentence)
    assert "[24, 24, 3]" in sentence and "[32, 32, 3]" in sentence
    with pytest.raises(SystemExit) as stop:
        release.publish(folder.name)
    one_sentence(stop.value.code)
    data = ROOT / "data" / "test-photos-24px" / "images.json"
    about, start = notebooks.read(data), notebooks.read(folder / "provenance.json")
    notebooks.write(data, about | {"sha256": "other"})
    monkeypatch.setattr(notebooks, "provenance", lambda: {"backend": start["backend"]})
    try:
        with pytest.raises(SystemExit) as stop:
            notebooks.open_run(folder, notebooks.read(folder / "settings.json"))
    finally:
        notebooks.write(data, about)
    assert "the files in IMAGES" in stop.value.code


def test_without_classes_nothing_is_probed(trained, tmp_path):
    """Fifty grey images: trained, drawn, exported, and said. On JAX, if it is there."""
    backend = "jax" if os.environ.get("JAX_PYTHON") else "tensorflow"
    photos = tmp_path / "test-grey"
    photos.mkdir()
    for path in sorted((trained[0] / "cat").iterdir())[:50]:
        Image.open(path).convert("L").save(photos / path.name)
    words = [word for word in trained[2] if not word.startswith(("RUN", "IMAGES"))]
    try:
        done = run(backend, notebooks.PRETRAINING, "RUN=test-own-grey", f"IMAGES={photos}", *words)
        assert done.returncode == 0, done.stdout + done.stderr[-3000:]
        assert "no classes, so nothing will be probed" in done.stdout
        folder = ROOT / "runs" / "test-own-grey"
        assert set(notebooks.read(folder / "results.json")) == {"measured_on", "images"}
        assert keras.saving.load_model(folder / "encoder.keras").input.shape == (None, 24, 24, 1)
    finally:
        shutil.rmtree(ROOT / "data" / "test-grey-24px", ignore_errors=True)


def test_exported_encoder_keeps_its_scale(mae):
    """The masked encoder in the ONNX files scales pixels as the one that was trained."""
    encoder = mae["build_encoder"](16, 4, 1, 16, 1, 2, 2, masked=False, pixels=(90, 30))
    settings = {"patch_size": 4, "encoder_width": 16, "encoder_layers": 1, "encoder_heads": 2, "mlp_ratio": 2}
    settings["fuse_blocks"] = True
    masked = export.masked_encoder(encoder, settings)
    x = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 1)).astype("float32")
    everything = np.tile(np.arange(16, dtype="int32"), (2, 1))
    np.testing.assert_allclose(masked([x, everything]), encoder(x), atol=1e-4)


def test_labelled_cells_keep_the_shares_of_the_classes():
    labels = (np.arange(1000) % 10 < 3).astype("int32")
    chosen = elpv.draw_labelled(labels, 50, 0)
    assert len(set(chosen)) == 50 and labels[chosen].sum() == 15
    assert set(elpv.draw_labelled(labels, 50, 1)) != set(chosen)


def test_every_cell_is_tested_once_and_never_learned_from_at_the_same_time():
    labels = (np.arange(1000) % 10 < 3).astype("int32")
    tested = []
    for split in elpv.FIFTHS:
        fit, asked = elpv.choose_pictures(labels, 100, split, None)
        assert len(set(fit)) == 100 and labels[fit].sum() == 30 and not set(fit) & set(asked)
        assert len(asked) == 200 and labels[asked].sum() == 60
        tested += asked.tolist()
        chosen = [elpv.choose_pictures(labels, 100, split, fifth) for fifth in elpv.FIFTHS]
        assert all(sorted([*inner, *held_out]) == sorted(fit) for inner, held_out in chosen), (
            "settings are chosen among labelled cells"
        )
        assert sorted(np.concatenate([held_out for _, held_out in chosen])) == sorted(fit)
        assert {(len(held_out), labels[held_out].sum()) for _, held_out in chosen} == {(20, 6)}
    assert sorted(tested) == list(range(1000))


def test_solar_cells_are_ranked_by_the_defective_class(monkeypatch, tmp_path):
    """A row from scores (Q, 2): all defective cells above all sound ones is 100, the other way round far less."""
    monkeypatch.setattr(elpv, "TABLE", tmp_path / "elpv.csv")
    monkeypatch.setattr(notebooks, "sha256", lambda _: "0" * 64)
    start = {"hardware": "", "versions": {"keras": ""}, "commit": ""}
    monkeypatch.setattr(notebooks, "provenance", lambda: start)
    cells, asked = object.__new__(elpv.Cells), []
    cells.y = (np.arange(500) % 4 == 0).astype("int32")
    cells.tools = notebooks.definitions(notebooks.PROBE, {"accuracy"})
    found = []
    for split, sign in enumerate((1, -1)):

        def probe(weights, fit, queries, rate, seed, sign=sign):
            asked.append((weights, len(fit), len(set(fit) & set(queries)), rate, seed))
            return sign * np.eye(2)[cells.y[queries]]

        cells.probe = probe
        found.append(elpv.row(cells, ("untrained", "probe"), 100, split, 0.01, None))
    assert [row["accuracy"] for row in found] == [100, 0] and found[0]["test_defective"] == 25
    assert found[0]["average_precision"] == 100 and found[1]["average_precision"] < 30
    assert asked == [("untrained", 100, 0, 0.01, 0), ("untrained", 100, 0, 0.01, 1)]


def test_all_cells_are_pretrained_on(monkeypatch, tmp_path):
    """The arrays of `make elpv` hold every picture once, with its label."""
    monkeypatch.setattr(images, "ROOT", tmp_path)
    rng = np.random.default_rng(0)
    for name, count in (("sound", 12), ("defective", 6)):
        (tmp_path / "elpv" / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (8, 8), "uint8") // 2 + 100 * (name == "sound")
            Image.fromarray(pixels.astype("uint8")).save(tmp_path / "elpv" / name / f"{i}.png")
    parts = images.prepare(tmp_path / "elpv", 8)
    folder = elpv.join(parts)
    x, y = (np.load(folder / f"{name}_train.npy") for name in "xy")
    bright = x.mean(axis=(1, 2, 3)) > 110
    assert len(np.unique(x, axis=0)) == len(x) == len(y) == 18
    assert np.array_equal(y == np.load(folder / "classes.npy").tolist().index("sound"), bright)
    about, before = (notebooks.read(path / "images.json") for path in (folder, parts))
    assert about["train"] == 18 and about["sha256"] != before["sha256"]
