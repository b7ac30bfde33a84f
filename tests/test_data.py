import numpy as np
import pytest

import minidl as dl
from minidl.data import DataLoader, Dataset, Subset, TensorDataset, digits, random_split


def numbered(size):
    return TensorDataset(np.arange(size * 3, dtype=np.float32).reshape(size, 3), np.arange(size))


def order(loader):
    return np.concatenate([y.numpy() for _, y in loader]).tolist()


class Squares(Dataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        return np.float32([index, index**2]), index


def test_batches_are_tensors_of_stable_shapes():
    batches = list(DataLoader(numbered(10), batch_size=4))
    assert [x.shape for x, _ in batches] == [(4, 3), (4, 3), (2, 3)]
    assert all(isinstance(t, dl.Tensor) and t.numpy().flags.c_contiguous for batch in batches for t in batch)
    assert batches[0][0].dtype == np.float32 and batches[0][1].dtype == np.int64
    np.testing.assert_array_equal(np.concatenate([x.numpy() for x, _ in batches]), numbered(10).tensors[0])


def test_drop_last_and_length():
    assert len(DataLoader(numbered(10), 4)) == 3
    assert (
        len(DataLoader(numbered(10), 4, drop_last=True)) == 2 == len(list(DataLoader(numbered(10), 4, drop_last=True)))
    )
    assert len(DataLoader(numbered(8), 4)) == 2
    assert list(DataLoader(numbered(0), 4)) == []


def test_order_depends_on_seed_and_epoch():
    one, other = (DataLoader(numbered(50), 7, shuffle=True, seed=3) for _ in range(2))
    first, second = order(one), order(one)
    assert first != second and sorted(first) == sorted(second) == list(range(50))
    assert [order(other), order(other)] == [first, second]
    assert order(DataLoader(numbered(50), 7, shuffle=True, seed=4)) != first
    resumed = DataLoader(numbered(50), 7, shuffle=True, seed=3)
    resumed.epoch = 1
    assert order(resumed) == second


def test_default_seed_follows_manual_seed():
    dl.manual_seed(5)
    first = order(DataLoader(numbered(50), 7, shuffle=True))
    assert order(DataLoader(numbered(50), 7, shuffle=True)) != first
    dl.manual_seed(5)
    assert order(DataLoader(numbered(50), 7, shuffle=True)) == first


def test_any_object_with_items():
    (x, y), *_ = DataLoader(Squares(), 3)
    np.testing.assert_array_equal(x.numpy(), [[0, 0], [1, 1], [2, 4]])
    assert y.tolist() == [0, 1, 2] and y.dtype == np.int64
    (z,), *_ = DataLoader([1.0, 2.0, 3.0], 2)
    assert z.tolist() == [1.0, 2.0]


def test_tensor_dataset_shares_and_indexes():
    data = np.zeros((4, 2), np.float32)
    dataset = TensorDataset(data, dl.tensor([0, 1, 2, 3]))
    assert np.shares_memory(dataset.tensors[0], data) and len(dataset) == 4
    assert dataset[2][1] == 2


def test_random_split():
    parts = random_split(numbered(10), [7, 3], seed=1)
    assert [len(part) for part in parts] == [7, 3]
    rows = [order(DataLoader(part, 4)) for part in parts]
    assert sorted(rows[0] + rows[1]) == list(range(10))
    assert rows == [order(DataLoader(part, 4)) for part in random_split(numbered(10), [7, 3], seed=1)]
    assert [len(part) for part in random_split(numbered(10), [0.5, 0.25, 0.25], seed=1)] == [6, 2, 2]
    assert [len(part) for part in random_split(numbered(5), [5, 0], seed=1)] == [5, 0]


def test_subset_of_subset():
    subset = Subset(Subset(numbered(10), [8, 6, 4]), [2, 0])
    assert order(DataLoader(subset, 2)) == [4, 8]
    assert subset[0][1] == 4


def test_digits():
    train, test = digits(), digits(train=False)
    assert (len(train), len(test)) == (1437, 360)
    x, y = train.tensors
    assert x.dtype == np.float32 and x.shape == (1437, 64) and y.dtype == np.int64
    assert abs(x.mean()) < 1e-4 and abs(x.std() - 1) < 1e-4
    assert set(np.bincount(test.tensors[1])) == {35, 36, 37}


def test_digits_are_those_of_uci():
    datasets = pytest.importorskip("sklearn.datasets")
    original = datasets.load_digits()
    from minidl.data.uci import FILE

    with np.load(FILE) as file:
        np.testing.assert_array_equal(file["pixels"], original.data)
        np.testing.assert_array_equal(file["labels"], original.target)
    assert FILE.stat().st_size < 100_000


@pytest.mark.parametrize(
    "error, message, make",
    [
        (ValueError, "batch_size: got 0", lambda: DataLoader(numbered(3), 0)),
        (TypeError, "batch_size: got 1.5", lambda: DataLoader(numbered(3), 1.5)),
        (ValueError, "seed: got -1", lambda: DataLoader(numbered(3), 1, shuffle=True, seed=-1)),
        (TypeError, "seed: got 'a'", lambda: DataLoader(numbered(3), 1, shuffle=True, seed="a")),
        (ValueError, r"\(3, 1\), \(4,\)", lambda: TensorDataset(np.zeros((3, 1)), np.zeros(4))),
        (ValueError, "no tensors", lambda: TensorDataset()),
        (ValueError, "sum to 10", lambda: random_split(numbered(10), [7, 4])),
        (ValueError, "lengths", lambda: random_split(numbered(10), [0.5, 0.2])),
        (IndexError, "index < 3", lambda: Subset(numbered(3), [3])),
        (TypeError, "float16", lambda: TensorDataset(np.zeros(3, np.float16))),
    ],
)
def test_bad_input(error, message, make):
    with pytest.raises(error, match=message):
        make()
