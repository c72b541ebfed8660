"""Answers of classifiers: which class a network names, how far down the right one is, what it is taken for."""

from collections import Counter

import numpy as np

MATRIX_CLASSES = 100  # a confusion matrix of more classes is not drawn up
CONFUSIONS = 20  # of the most frequent ones, where they are listed
TOP_FIVE_CLASSES = 10  # with fewer classes, five guesses say little


def ranks(outputs, labels):
    """How many classes stand before the labelled one: 0 where it is the network's answer; int64 [N].

    `outputs` are a network's output maps [N, C, H, W], whose flattened values are the classes' scores. Of equal
    scores the first stands before the others, as for `numpy.argmax`.
    """
    scores = outputs.reshape(len(outputs), -1)
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    return np.count_nonzero((scores > own) | ((scores == own) & earlier), axis=1)


def answers(outputs):
    """The class that each image is taken for: the index of the greatest score, the first among equals."""
    return outputs.reshape(len(outputs), -1).argmax(axis=1)


def confusion_matrix(reference, given, classes):
    """Counts [classes][classes]: row, the reference's answer; column, the given one. None for many classes."""
    if classes > MATRIX_CLASSES:
        return None
    counts = np.bincount(reference * classes + given, minlength=classes**2)
    return counts.reshape(classes, classes).tolist()


def confusions(reference, given):
    """The most frequent pairs of different answers: (reference, given, count), most frequent first."""
    differ = reference != given
    pairs = Counter(zip(reference[differ].tolist(), given[differ].tolist(), strict=True))
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    return [(*pair, count) for pair, count in ordered[:CONFUSIONS]]
