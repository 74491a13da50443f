"""What is drawn again and again takes a small share of the time, whatever a drawing costs."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from effunet.training.output.pace import SHARE, Pace


@given(cost=st.floats(0.01, 10), wait=st.floats(0.001, 100), asked=st.integers(1, 200))
def test_drawing_takes_at_most_its_share_of_the_time_but_for_the_first(cost, wait, asked):
    now, drawn = [0.0], []
    pace = Pace(lambda: now[0])

    def draw():
        drawn.append(now[0])
        now[0] += cost

    for _ in range(asked):
        pace(draw)
        now[0] += wait
    assert drawn[0] == 0.0
    assert (len(drawn) - 1) * cost * SHARE <= now[0]
    gaps = [after - before for before, after in pairwise(drawn)]
    assert all(gap <= (SHARE + 1) * cost + wait + 1e-6 for gap in gaps)
