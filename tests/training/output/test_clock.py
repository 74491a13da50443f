"""A training's pace, by a clock that stands still unless it is told to go on."""

from effunet.training.output.clock import Clock, Speed


class Time:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def steps(clock: Clock, time: Time, count: int, wait: float, work: float, images: int) -> None:
    for _ in range(count):
        time.seconds += wait
        clock.batch_ready()
        time.seconds += work
        clock.step_done(images)


def test_images_a_second_count_the_waiting_and_its_share_is_of_the_whole():
    time = Time()
    clock = Clock(time)
    steps(clock, time, 5, wait=0.25, work=0.75, images=8)
    # The waiting for the very first batch starts the workers and counts nowhere.
    assert clock.take() == Speed(40 / 4.75, 1.0 / 4.75)


def test_a_validation_between_two_steps_is_no_waiting():
    time = Time()
    clock = Clock(time)
    steps(clock, time, 3, wait=0.0, work=1.0, images=2)
    time.seconds += 1000.0  # the validation
    assert clock.take() == Speed(2.0, 0.0)
    time.seconds += 1000.0  # its files
    steps(clock, time, 2, wait=1.0, work=1.0, images=6)
    assert clock.take() == Speed(4.0, 1 / 3)


def test_looking_does_not_start_anew():
    time = Time()
    clock = Clock(time)
    steps(clock, time, 4, wait=0.0, work=0.5, images=1)
    assert clock.speed() == clock.speed() == clock.take() == Speed(2.0, 0.0)


def test_no_step_is_no_pace():
    clock = Clock(Time())
    assert clock.speed() == clock.take() == Speed(0.0, 0.0)
    clock.batch_ready()
    assert clock.take() == Speed(0.0, 0.0)


def test_the_parts_of_any_clock_make_up_the_whole():
    clock = Clock()
    for _ in range(3):
        clock.batch_ready()
        clock.step_done(1)
    speed = clock.take()
    assert speed.images_per_second > 0 and 0 <= speed.waiting_share <= 1
