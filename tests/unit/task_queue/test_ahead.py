"""How much is taken ahead."""

from latigo.task_queue.ahead import LIVE_AHEAD, OTHERS_AHEAD, Ahead


def room(ahead: Ahead[int]) -> tuple[int, int]:
    return ahead.room_for_live, ahead.room_for_others


def test_live_tasks_and_others_have_places_of_their_own():
    ahead: Ahead[int] = Ahead(2)
    for number in range(2 * OTHERS_AHEAD):
        ahead.take(number, live=False)
    full_of_others = room(ahead)
    ahead.take(99, live=True)

    assert full_of_others == (2 * LIVE_AHEAD, 0)
    assert room(ahead) == (2 * LIVE_AHEAD - 1, 0)


def test_what_is_done_makes_room_once():
    ahead: Ahead[int] = Ahead(1)
    ahead.take(1, live=True)
    before = room(ahead)
    ahead.end(1)
    ahead.end(1)

    assert before == (LIVE_AHEAD - 1, OTHERS_AHEAD)
    assert room(ahead) == (LIVE_AHEAD, OTHERS_AHEAD)
    assert 1 not in ahead


def test_after_giving_back_none_is_taken_until_another_is_done():
    ahead: Ahead[int] = Ahead(1)
    ahead.take(1, live=True)
    ahead.take(2, live=True)
    ahead.give_back(2)
    full = room(ahead)
    ahead.end(1)

    assert full == (0, 0)
    assert room(ahead) == (LIVE_AHEAD, OTHERS_AHEAD)


def test_giving_back_everything_or_nothing_leaves_room():
    ahead: Ahead[int] = Ahead(1)
    ahead.give_back()
    ahead.take(1, live=True)
    ahead.give_back()
    nothing = room(ahead)
    ahead.give_back(1)

    assert nothing == (LIVE_AHEAD - 1, OTHERS_AHEAD)
    assert room(ahead) == (LIVE_AHEAD, OTHERS_AHEAD)


def test_another_limit_ends_being_full_and_none_takes_nothing():
    ahead: Ahead[int] = Ahead(1)
    ahead.take(1, live=False)
    ahead.take(2, live=False)
    ahead.give_back(2)
    ahead.limit(0)
    none = (*room(ahead), ahead.takes_none)
    ahead.limit(2)

    assert none == (0, 0, True)
    assert room(ahead) == (2 * LIVE_AHEAD, 2 * OTHERS_AHEAD - 1)
