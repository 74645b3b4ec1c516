"""Notes of a reasoner: each is written once, also where the code that says it runs again."""

from __future__ import annotations

from agent_runtime.core.notes import Note, Notes

A, B = Note("a"), Note("b", ("tag",))
MAIN, OTHER = object(), object()


def test_they_are_taken_once_in_order() -> None:
    notes = Notes()
    notes.say(A)
    notes.say(B)
    assert notes.take() == [A, B]
    assert notes.take() == []


def test_what_is_written_is_not_said_again_however_often_it_was_written() -> None:
    notes = Notes([A, A])
    for _ in range(3):
        notes.say(A)
    notes.say(B)
    assert notes.take() == [A, B]


def test_the_same_words_with_other_tags_are_another_note() -> None:
    notes = Notes([Note("b")])
    notes.say(B)
    assert notes.take() == [B]


def test_words_that_changed_are_dropped_where_their_branch_comes_to_a_record() -> None:
    notes = Notes([Note("took 3 s")])
    notes.say(Note("took 4 s"), MAIN)
    notes.say(A, OTHER)
    notes.came_to_a_record(MAIN)
    assert notes.take() == [A]


def test_a_write_that_did_not_land_puts_them_back_in_front() -> None:
    notes = Notes()
    notes.say(A, MAIN)
    taken = notes.take()
    notes.say(B, MAIN)
    notes.put_back(taken)
    assert notes.take() == [A, B]
