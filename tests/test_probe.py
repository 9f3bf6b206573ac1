"""The linear probe of the notebooks against scikit-learn's logistic regression, its comparisons against SciPy's paired t-test."""

import notebooks
import numpy as np
import pytest


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


def test_paired_difference_agrees_with_the_t_test():
    """Two classifiers, each right on about 64 % of the same 2,000 images, that give the same answers on the first half."""
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 2000)
    first, second = (
        np.eye(10)[np.where(rng.random(2000) < 0.6, labels, rng.integers(0, 10, 2000))] for _ in range(2)
    )
    second[:1000] = first[:1000]
    tools = notebooks.definitions("linear-probe.ipynb", {"paired_difference"})
    gain, margin = tools["paired_difference"](first, second, labels)
    right = [(scores.argmax(1) == labels) * 100.0 for scores in (first, second)]
    theirs = stats.ttest_rel(right[1], right[0])
    low, high = theirs.confidence_interval(0.95)
    assert gain == pytest.approx((high + low) / 2, abs=0.01) and gain != 0
    assert margin == pytest.approx((high - low) / 2, abs=0.02)
