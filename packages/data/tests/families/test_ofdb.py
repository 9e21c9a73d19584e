import numpy as np
from fujimi_data.families import fractaldb, ofdb


def test_a_picture_is_that_of_the_category_itself_with_its_own_patches() -> None:
    asked = {"seed": 1, "category": 2, "pixels": 64, "points": 3000, "mode": "reference", "draw": "point"}
    # points do not depend on patches; the third row of weights changes nothing
    expected = fractaldb.render(**asked, instance=4 * 2)
    assert np.array_equal(ofdb.render(**asked, instance=0), expected)


def test_weights_give_the_first_variant() -> None:
    asked = {"seed": 1, "category": 2, "pixels": 64, "points": 3000, "mode": "reference", "weights": 0.4}
    assert np.array_equal(ofdb.render(**asked, instance=0), fractaldb.render(**asked, instance=0))


def test_other_instances_have_other_points_and_patches_of_the_same_system() -> None:
    first, second = (ofdb.render(seed=0, category=3, instance=instance, pixels=96) > 0 for instance in (0, 1))
    assert not np.array_equal(first, second)
    coarse = [picture.reshape(12, 8, 12, 8).mean(axis=(1, 3)).ravel() for picture in (first, second)]
    assert np.corrcoef(*coarse)[0, 1] > 0.9


def test_a_class_is_fractaldbs_of_the_same_number() -> None:
    ours = ofdb.render(seed=0, category=3, instance=0, pixels=96) > 0
    theirs = fractaldb.render(seed=0, category=3, instance=80, pixels=96) > 0
    coarse = [picture.reshape(12, 8, 12, 8).mean(axis=(1, 3)).ravel() for picture in (ours, theirs)]
    assert np.corrcoef(*coarse)[0, 1] > 0.9
