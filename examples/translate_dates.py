"""Translation with attention: dates as people write them to ISO 8601, letter by letter.

    python examples/translate_dates.py [--steps 1500] [--seed 0]

    third of march, 1999   ->   1999-03-03

An encoder (a GRU in both directions) reads the letters; a decoder (another GRU) writes the answer, and with every
letter it looks back at all that was read: Bahdanau et al. (2015), Luong et al. (2015). It trains on dates with what it
should have written before ("teacher forcing"); to translate it is fed its own letters. At the end one table shows where
it looked.
"""

import argparse
import calendar
import datetime

import numpy as np

import minidl as dl
from minidl import functional as F
from minidl import nn, optim
from minidl.data import Vocabulary

ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
LONGEST, BATCH, HIDDEN = 32, 64, 64
START, END = "^", "$"
LETTERS = Vocabulary.characters(" ,./'-abcdefghijklmnopqrstuvwxyz0123456789" + START + END)


def written(date, rng):
    """A date as somebody might write it."""
    month, day = calendar.month_name[date.month].lower(), date.day
    ending = "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    forms = [
        f"{day} {month} {date.year}",
        f"{month} {day}{ending}, {date.year}",
        f"{day}.{date.month}.{date.year}",
        f"{day} {month[:3]} '{date.year % 100:02d}" if date.year >= 1950 else f"{month[:3]} {day}, {date.year}",
        f"{ORDINALS[day - 1] if day <= len(ORDINALS) else f'the {day}{ending}'} of {month} {date.year}",
        f"{date.year}/{date.month}/{day}",
    ]
    return forms[rng.integers(len(forms))]


def batch(dates, rng):
    """Letters (LONGEST, B), their numbers (B,), and the answers (12, B), from START to END."""
    texts = [written(date, rng) for date in dates]
    letters = np.zeros((LONGEST, len(texts)), np.int64)
    for b, text in enumerate(texts):
        letters[: len(text), b] = LETTERS.encode(text)
    answers = np.stack([LETTERS.encode(START + date.isoformat() + END) for date in dates], axis=1)
    return letters, np.array([len(text) for text in texts]), answers, texts


class Translator(nn.Module):
    """Encoder, decoder, and the attention between them."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), 32)
        self.encoder = nn.GRU(32, HIDDEN // 2, bidirectional=True)
        self.decoder = nn.GRU(32, HIDDEN)
        self.attention = nn.MultiheadAttention(HIDDEN, 1)
        self.mixer, self.head = nn.Linear(2 * HIDDEN, HIDDEN), nn.Linear(HIDDEN, len(LETTERS))

    def read(self, letters, lengths):
        """What the encoder has understood (T, B, HIDDEN), which of it is padding, and the decoder's first state."""
        memory, last = self.encoder(self.embedding(letters), lengths=lengths)
        padding = dl.arange(letters.shape[0]) >= lengths.reshape(-1, 1)
        return memory, padding, F.cat([last[0], last[1]], -1).unsqueeze(0)

    def write(self, answer, state, memory, padding):
        """Scores of the letter behind every letter of `answer` (N, B), the next state, and where it looked."""
        output, state = self.decoder(self.embedding(answer), state)
        context, weights = self.attention(output, memory, memory, key_padding_mask=padding)
        return self.head(F.tanh(self.mixer(F.cat([output, context], -1)))), state, weights

    def forward(self, letters, lengths, answer):
        memory, padding, state = self.read(letters, lengths)
        return self.write(answer, state, memory, padding)[0]


def train(model, steps, rng, dates):
    """Training; every batch is written anew."""
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, steps)

    @dl.record
    def step(letters, lengths, answers):
        optimizer.zero_grad()
        scores = model(letters, lengths, answers[:-1])
        loss = F.cross_entropy(scores.flatten(0, 1), answers[1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    for i in range(1, steps + 1):
        loss = step(*batch(dates[rng.integers(len(dates), size=BATCH)], rng)[:3])
        schedule.step()
        if i % 250 == 0:
            print(f"step {i:5d}: loss {float(loss):.4f}")


@dl.no_grad()
def translate(model, letters, lengths):
    """Answers, letter by letter, and where the model looked for each: (11, B) and (11, B, T)."""
    memory, padding, state = model.read(dl.tensor(letters), dl.tensor(lengths))
    letter, answer, looked = np.full((1, len(lengths)), LETTERS.encode(START)[0]), [], []
    for _ in range(11):
        scores, state, weights = model.write(letter, state, memory, padding)
        letter = scores.numpy().argmax(-1)
        answer.append(letter[0])
        looked.append(weights.numpy()[:, 0])
    return np.array(answer), np.array(looked)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    rng = np.random.default_rng(args.seed)
    dl.manual_seed(args.seed)
    first = datetime.date(1900, 1, 1)
    dates = rng.permutation([first + datetime.timedelta(days) for days in range(0, 45000)])
    model = Translator()
    train(model, args.steps, rng, dates[1000:])

    letters, lengths, answers, texts = batch(dates[:1000], rng)  # days that it has never seen
    got, looked = translate(model.eval(), letters, lengths)
    right = (got == answers[1:]).all(0)
    print(f"{right.mean():.1%} of {len(texts)} new dates are right\n")
    for b in range(6):
        print(f"{texts[b]:28} {LETTERS.decode(got[:-1, b])} {'' if right[b] else 'WRONG'}")
    print(f"\nwhere it looked ('{texts[0]}'):")
    for letter, row in zip(LETTERS.decode(got[:-1, 0]), looked[:, 0, : lengths[0]], strict=False):
        print(f"  {letter}  |{''.join(' .:*#'[min(4, int(5 * weight))] for weight in row)}|")


if __name__ == "__main__":
    main()
