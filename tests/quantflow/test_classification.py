"""Ranks and confusions against counting by hand."""

import numpy as np

from quantflow.classification import CONFUSIONS, answers, confusion_matrix, confusions, ranks


def maps(*rows):
    return np.array(rows, np.float32)[:, :, None, None]


def test_the_first_of_equal_scores_stands_before_the_others():
    scores = maps([1, 3, 3, 2], [0, 0, 0, 0])
    assert answers(scores).tolist() == [1, 0]
    assert ranks(scores, np.array([2, 3])).tolist() == [1, 3]
    assert ranks(scores, np.array([1, 0])).tolist() == [0, 0]
    assert ranks(scores, np.array([0, 1])).tolist() == [3, 1]


def test_rank_zero_is_the_answer():
    scores = np.random.default_rng(0).integers(0, 4, (50, 2, 3, 1)).astype(np.float32)
    labels = np.random.default_rng(1).integers(0, 6, 50)
    assert ((ranks(scores, labels) == 0) == (answers(scores) == labels)).all()


def test_confusions():
    reference, given = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 2, 0])
    assert confusion_matrix(reference, given, 3) == [[1, 2, 0], [0, 0, 1], [1, 0, 1]]
    assert confusions(reference, given) == [(0, 1, 2), (1, 2, 1), (2, 0, 1)]


def test_many_classes_have_a_short_list_and_no_matrix():
    random = np.random.default_rng(0)
    reference, given = random.integers(0, 1000, (2, 500))
    assert confusion_matrix(reference, given, 1000) is None
    found = confusions(reference, given)
    assert len(found) == CONFUSIONS and found[0][2] >= found[-1][2]
