"""What is counted where two classifiers are wrong."""

import mistakes
import numpy as np


def test_counts_by_hand():
    """Six images: both right, one wrong, the other wrong, both wrong alike (twice), both wrong in different ways."""
    truth = np.array([0, 0, 0, 0, 1, 2])
    answers = {"first": np.array([0, 1, 0, 1, 2, 0]), "second": np.array([0, 0, 2, 1, 2, 1])}
    found = mistakes.mistakes(answers, truth)
    lead, margin = found.pop("lead of second, points"), found.pop("its margin (95 %)")
    assert found == {"first": 4, "second": 4, "both": 3, "both, with the same answer": 2}
    assert lead == 0 and round(margin, 1) == round(196 * (2 / 6) ** 0.5 / 6**0.5, 1)


def test_hardest_are_those_that_both_get_wrong_alike():
    """The surest first, and what counts is the less sure of the two."""
    truth = np.array([0, 0, 0, 0])
    first = np.array([[0.1, 0.9, 0.0], [0.3, 0.7, 0.0], [0.0, 1.0, 0.0], [0.9, 0.1, 0.0]])
    second = np.array([[0.4, 0.6, 0.0], [0.2, 0.8, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    assert mistakes.hardest([first, second], truth, 8).tolist() == [1, 0]
    assert mistakes.hardest([first, second], truth, 1).tolist() == [1]


def test_strongest_patch():
    assert mistakes.strongest(np.array([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 4.0], [0.0, 0.0]]])) == 2.5


def test_each_map_lights_its_own_image():
    """The lit patch keeps its brightness, the others are dark."""
    images = np.full((2, 4, 4, 3), 200.0)
    received = np.zeros((2, 2, 2))
    received[0, 0, 1] = received[1, 1, 0] = 3
    figure = mistakes.draw_attention(images, {"a model": received})
    drawn = [axis.images[0].get_array() for axis in figure.axes]
    assert [axis.get_ylabel() for axis in figure.axes] == ["test images", "", "a model", ""]
    assert all((image == 200).all() for image in drawn[:2])
    for image, (top, left) in zip(drawn[2:], [(0, 2), (2, 0)]):
        assert (image[top : top + 2, left : left + 2] == 200).all() and image.sum() == 200 * 4 * 3
