import json

from hypothesis import given
from hypothesis import strategies as st

from agentkit.base.jsonable import json_ready
from agentkit.base.text import clean, head_and_tail, shorten

ANY_TEXT = st.text(st.characters(), max_size=50)
ANY_JSON = st.recursive(ANY_TEXT | st.integers() | st.none(), lambda s: st.lists(s) | st.dictionaries(ANY_TEXT, s))


def test_clean_spells_out_what_cannot_be_stored():
    assert clean("a\x00b\ud83dc") == "a\\x00b\\ud83dc"


@given(ANY_TEXT)
def test_clean_text_can_always_be_stored(text):
    cleaned = clean(text)
    assert "\x00" not in cleaned
    assert cleaned.encode("utf-8").decode("utf-8") == cleaned
    assert clean(cleaned) is cleaned


@given(ANY_JSON)
def test_json_ready_reaches_every_string(value):
    cleaned = json_ready(value)
    assert json_ready(cleaned) is cleaned
    json.dumps(cleaned, ensure_ascii=False).encode()
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # it holds a lone surrogate
        assert cleaned != value
    else:
        if "\\u0000" not in json.dumps(value):
            assert cleaned is value


@given(st.text(), st.integers(1, 20))
def test_shorten_keeps_its_limit(text, max_chars):
    assert len(shorten(text, max_chars)) <= max_chars


def test_head_and_tail():
    assert head_and_tail("x" * 10, 10) == "x" * 10
    cut = head_and_tail("a" * 600 + "b" * 600, 300)
    assert cut == "a" * 200 + "\n[… 900 of 1200 characters left out …]\n" + "b" * 100
