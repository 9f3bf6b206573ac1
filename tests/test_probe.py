"""The linear probe against scikit-learn's logistic regression, neighbours against its search, the choice of settings, and comparisons."""

import keras
import notebooks
import numpy as np
import pytest
import release


def test_linear_probe_agrees_with_logistic_regression(mae, cifar10):
    """Both fit the same convex model to the same standardised features: 10,000 real images averaged to 4 x 4 x 3 = 48 numbers.

    With 200 times more images than features neither overfits, so early stopping (the probe) and a weak penalty (C = 1) matter little; what
    is left is noise. On 10,000 test images the accuracy itself has a standard error of 0.5 points, the difference of two nearly equal
    classifiers less: 1.5 points are room enough, and far less than what a wrong scaling or learning rate costs.
    """
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    x_train, y_train, x_test, y_test = cifar10
    x_train, y_train = x_train[:10_000], y_train[:10_000]
    features, test_features = (
        x.reshape(-1, 4, 8, 4, 8, 3).mean(axis=(2, 4)).reshape(-1, 48).astype("float32")
        for x in (x_train, x_test)
    )
    logits = mae["linear_probe"](features, y_train, test_features)
    assert logits.shape == (10_000, 10)
    ours = (logits.argmax(1) == y_test).mean()

    mean, spread = features.mean(0), features.std(0)
    theirs = linear_model.LogisticRegression(C=1, max_iter=500).fit((features - mean) / spread, y_train)
    assert ours == pytest.approx(theirs.score((test_features - mean) / spread, y_test), abs=0.015)
    assert ours > 0.3, "worse than these features allow"


def test_scale_of_features_does_not_matter(mae):
    """The batch norm in front takes shift and scale out."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((600, 8)).astype("float32")
    labels = (features @ rng.standard_normal((8, 3))).argmax(1)
    scale = np.float32(2.0) ** np.arange(8)
    right = [
        (mae["linear_probe"](x[:400], labels[:400], x[400:], batch_size=50).argmax(1) == labels[400:]).mean()
        for x in (features, features * scale + 100 * scale)
    ]
    assert min(right) > 0.9 and right[0] == pytest.approx(right[1], abs=0.03)


def test_settings_of_the_probe_have_an_effect(mae, monkeypatch):
    """A rate near 0 leaves it guessing, epochs are those asked for, and only equal seeds give equal scores."""
    fit, epochs = keras.Sequential.fit, []
    monkeypatch.setattr(keras.Sequential, "fit", lambda *a, **k: epochs.append(k["epochs"]) or fit(*a, **k))
    rng = np.random.default_rng(0)
    features = rng.standard_normal((600, 8)).astype("float32")
    labels = (features @ rng.standard_normal((8, 3))).argmax(1)

    def probe(rate=0.01, **settings):
        return mae["linear_probe"](
            features[:400], labels[:400], features[400:], rate, batch_size=50, **settings
        )

    def loss(logits):
        return float(keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels[400:], logits))

    usual = probe()
    assert loss(usual) < loss(probe(epochs=1)) - 0.1 and loss(usual) < loss(probe(1e-7)) - 0.1
    np.testing.assert_allclose(usual, probe(), atol=1e-5)
    assert np.abs(usual - probe(seed=1)).max() > 1e-3
    assert epochs == [40, 1, 40, 40, 40]


@pytest.fixture(scope="module")
def probing():
    """Functions of linear-probe.ipynb, by name."""
    return notebooks.definitions("linear-probe.ipynb")


def test_neighbours_agree_with_scikit_learn(probing):
    """Cosine similarity of standardised features, in chunks that do not divide the number of queries; k no larger than the training set."""
    search = pytest.importorskip("sklearn.neighbors", reason="scikit-learn is not installed")
    rng = np.random.default_rng(0)
    known, asked = (
        rng.standard_normal((n, 16)).astype("float32") * 2.0 ** np.arange(16) + 50 for n in (300, 70)
    )
    known, asked = known.astype("float32"), asked.astype("float32")
    similarities, indices = probing["neighbours"](known, asked, 7, chunk=32)
    mean, spread = known.mean(0), known.std(0)
    theirs = search.NearestNeighbors(n_neighbors=7, metric="cosine").fit((known - mean) / spread)
    distances, found = theirs.kneighbors((asked - mean) / spread)
    np.testing.assert_allclose(similarities, 1 - distances, atol=1e-5)
    assert (indices == found).mean() > 0.99  # near-ties may swap
    assert probing["neighbours"](known[:3], asked, 7)[1].shape == (70, 3)


def test_votes_by_hand(probing):
    """Two near neighbours against three that lie a little farther away: weights exp(s / t), shares that add up to one."""
    similarities, labels = np.array([[0.9, 0.9, 0.8, 0.8, 0.8]]), np.array([[3, 3, 5, 5, 5]])
    for temperature in (0.07, 0.2, 1.0):
        scores = probing["vote"](similarities, labels, temperature)
        near, far = 2 * np.exp(0.9 / temperature), 3 * np.exp(0.8 / temperature)
        assert scores.shape == (1, 10) and scores.sum() == pytest.approx(1)
        assert scores[0, 3] == pytest.approx(near / (near + far)) and scores[0, 5] == pytest.approx(
            far / (near + far)
        )


@pytest.mark.parametrize("k, temperature", [(1, 0.07), (5, 0.2), (5, 0.05)])
def test_asking_neighbours_is_finding_them_and_voting(probing, k, temperature):
    rng = np.random.default_rng(0)
    known, asked = (rng.standard_normal((n, 4)).astype("float32") for n in (60, 30))
    labels = rng.integers(0, 10, 60)
    votes = probing["ask_neighbours"](known, labels, asked, k, temperature)
    similarities, found = probing["neighbours"](known, asked, k)
    for scores, near, classes in zip(votes, similarities, labels[found]):
        expected = np.bincount(classes, np.exp(near / temperature), minlength=10)
        np.testing.assert_allclose(scores, expected / expected.sum(), atol=1e-5)


def test_settings_are_chosen_without_the_queries(probing):
    """Candidates are fitted without the held-out images and scored on these alone; the best one is then fitted on all, once."""
    calls = []

    def classify(x, y, queries, wrong):
        calls.append((len(x), len(queries), wrong))
        return np.roll(np.eye(10)[queries[:, 0]], wrong, axis=1)

    x = np.arange(100)[:, None] % 10
    options = [{"wrong": 1}, {"wrong": 0}, {"wrong": 2}, {"wrong": 0}]
    scores, chosen = probing["tuned"](classify, options, x, x[:, 0], x[:7], held_out=20)
    assert chosen == {"wrong": 0, "validation": 100.0} and scores.argmax(1).tolist() == list(range(7))
    assert calls == [(80, 20, option["wrong"]) for option in options] + [(100, 7, 0)]


def test_features_are_means_over_tokens(probing, images):
    """L blocks in order, then the final tokens; a last batch that is not whole changes nothing."""
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    first = layers.Reshape((16, 48), name="block_1")(inputs)
    second = layers.Dense(48, name="block_2")(first)
    encoder = keras.Model(inputs, layers.LayerNormalization()(second))
    assert probing["block_names"](encoder) == ["block_1", "block_2"]
    pooled = probing["pooling_model"](encoder)
    features = probing["pooled_features"](pooled, images.astype("uint8"), batch_size=3)
    assert features.shape == (8, 3, 48) and features.dtype == "float32"
    np.testing.assert_allclose(features[:, 0], images.reshape(8, 16, 48).mean(1), rtol=1e-5)
    np.testing.assert_allclose(features[:, 2], encoder.predict(images, verbose=0).mean(1), atol=1e-4)


def test_paired_difference_agrees_with_the_t_test():
    """Two classifiers, each right on about 64 % of the same 2,000 images, that give the same answers on the first half."""
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 2000)
    first, second = (
        np.eye(10)[np.where(rng.random(2000) < 0.6, labels, rng.integers(0, 10, 2000))] for _ in range(2)
    )
    second[:1000] = first[:1000]
    right = [scores.argmax(1) == labels for scores in (first, second)]
    gain, margin = release.paired_difference(*right)
    theirs = stats.ttest_rel(right[1] * 100.0, right[0] * 100.0)
    low, high = theirs.confidence_interval(0.95)
    assert gain == pytest.approx((high + low) / 2, abs=0.01) and gain != 0
    assert margin == pytest.approx((high - low) / 2, abs=0.02)
