"""The largest network within a budget."""

from hypothesis import given
from hypothesis import strategies as st

from effunet.model.scaling import compound
from effunet.scaling.fit import LEAST, MOST, Candidate, candidates, last_fitting

PLAN = compound(0)


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(-1, 51))
def test_it_is_the_last_that_fits_of_costs_that_never_fall(costs: list[int], limit: int) -> None:
    costs.sort()
    found = [Candidate(PLAN, str(cost)) for cost in costs]
    place = last_fitting(found, lambda one: int(one.words) <= limit)
    fitting = [at for at, cost in enumerate(costs) if cost <= limit]
    assert place == (fitting[-1] if fitting else None)


def test_few_are_asked() -> None:
    asked: list[Candidate] = []

    def fits(one: Candidate) -> bool:
        asked.append(one)
        return one.plan.stem <= 40

    found = candidates(named=False, resolution=False)
    assert last_fitting(found, fits) is not None and len(asked) <= 11


def test_every_network_of_the_law_stands_once_under_its_smallest_phi() -> None:
    found = candidates(named=False, resolution=False)
    shapes = [(one.plan.stem, one.plan.stages, one.plan.head) for one in found]
    assert len(set(shapes)) == len(shapes) > 100
    assert found[0].words.endswith(f"={LEAST:g}") and found[0].plan == compound(LEAST)
    finer = candidates(named=False, resolution=True)
    assert len(finer) > len(found)
    assert found[-1].plan.stages == compound(MOST).stages
    for one in found:
        assert compound(float(one.words.rpartition("=")[2])) == one.plan


def test_the_released_ones_are_asked_for_by_name() -> None:
    words = [one.words for one in candidates(named=True, resolution=True)]
    assert words == [f"encoder=b{number}" for number in range(8)]
