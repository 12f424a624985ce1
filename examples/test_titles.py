"""The tests of titles.py: no key, no connection, no waiting. Run them: python -m pytest test_titles.py"""

from titles import title_of

from llmclients.testing import Reply


def test_a_title(mock_clients):
    mock = mock_clients(Reply.text('"The Nile"'))
    assert title_of("A long river") == "The Nile"
    assert mock.requests[0].prompt == "A title for this text:\n\nA long river"
    assert mock.requests[0].options == {"max_tokens": 20}


def test_a_busy_provider_is_asked_again(mock_clients):
    mock = mock_clients(Reply.error(429, retry_after=20), Reply.text("The Nile"))
    assert title_of("A long river") == "The Nile"
    assert mock.clock.slept == [20]


def test_without_an_answer_the_first_line_is_the_title(mock_clients):
    mock_clients(Reply.error(401))
    assert title_of("A long river\nflows by.") == "A long river"
