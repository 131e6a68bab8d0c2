"""The text of an answer while it grows, with the decoders that language models use."""

import random

import pytest
from conftest import make_tokenizer
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from hired.comparison.stream import HALF, Transcript

PIECES = ["▁", "▁a", "▁circle", "s", "▁is", ".", "▁.", "'", "▁'", "m", "é", "▁red"]
WHOLE = ["€", "ü", "汉", "🔴", "\u200d", "a"]


def byte_fallback() -> PreTrainedTokenizerFast:
    """As Llama's: words with their space before them, and bytes for what is in no word."""
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *PIECES]
    model = models.BPE({name: place for place, name in enumerate(names)}, [], byte_fallback=True)
    tokenizer = Tokenizer(model)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def word_pieces() -> PreTrainedTokenizerFast:
    """As BERT's, whose decoder takes back spaces that it gave before."""
    names = ["[UNK]", "</s>", "i", "'", "m", "do", "n't", ".", "##s", "red", ",", "?"]
    tokenizer = Tokenizer(models.WordPiece({name: place for place, name in enumerate(names)}))
    tokenizer.decoder = decoders.WordPiece(cleanup=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="</s>",
        clean_up_tokenization_spaces=True,
    )  # fmt: skip


def spoken(tokenizer: PreTrainedTokenizerFast, rng: random.Random) -> list[int]:
    """Ids of an answer: words, and where it has them characters in bytes and end tokens."""
    vocabulary = tokenizer.get_vocab()
    plain = [place for name, place in vocabulary.items() if not name.startswith("<0x")]
    ids = []
    for _ in range(rng.randint(1, 30)):
        if "<0x00>" in vocabulary and rng.random() < 0.4:
            character = rng.choice(WHOLE).encode()
            ids += [vocabulary[f"<0x{byte:02X}>"] for byte in character]
        else:
            ids.append(rng.choice(plain))
    return ids


@pytest.mark.parametrize("make", [byte_fallback, make_tokenizer])
@pytest.mark.parametrize("together", [1, 3])
def test_a_growing_text_is_the_whole_decoded_again(make, together):
    tokenizer, rng = make(), random.Random(together)

    def decode(ids):
        return tokenizer.decode(ids, skip_special_tokens=True)

    halves = 0
    for _ in range(200):
        ids, transcript = spoken(tokenizer, rng), Transcript(decode)
        while ids:
            count = rng.randint(1, together)
            transcript.tokens += ids[:count]
            del ids[:count]
            before = transcript.text
            transcript.read()
            whole = decode(transcript.tokens)
            if HALF in whole:  # a character is not complete: it waits, and so does all that is new
                halves += 1
                assert transcript.text == before
            else:
                assert transcript.text == whole
                if make is byte_fallback:  # what was shown stays as it was
                    assert whole.startswith(before)
        transcript.read(whole=True)
        assert transcript.text == decode(transcript.tokens)
    assert halves or make is not byte_fallback


def test_a_decoder_that_takes_back_spaces_has_the_last_word():
    tokenizer, rng = word_pieces(), random.Random(0)
    for _ in range(200):
        transcript = Transcript(tokenizer.decode)
        for token in spoken(tokenizer, rng):
            transcript.tokens.append(token)
            transcript.read()
            assert len(transcript.text) >= len(tokenizer.decode(transcript.tokens))
        transcript.read(whole=True)
        assert transcript.text == tokenizer.decode(transcript.tokens)


def test_what_can_never_be_a_character_is_shown_in_the_end():
    tokenizer = byte_fallback()
    transcript = Transcript(tokenizer.decode)
    transcript.tokens += tokenizer.convert_tokens_to_ids(["▁a", "<0xE2>", "<0x82>"])
    transcript.read()
    assert transcript.text == ""  # they came together
    transcript.read(whole=True)
    assert transcript.text == "a" + 2 * HALF


def test_long_answers_cost_as_much_per_token_as_short_ones():
    decoded = []

    def decode(pieces):
        decoded.append(len(pieces))
        return "".join(pieces)

    transcript = Transcript(decode)
    for index in range(4000):
        transcript.tokens.append(f"{index} ")
        transcript.read()
    assert transcript.text == "".join(transcript.tokens) and sum(decoded) < 3 * 4000
