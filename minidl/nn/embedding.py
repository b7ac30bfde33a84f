"""Tables of embeddings: what turns tokens into vectors."""

from minidl import functional as F
from minidl.engine import as_tensor, memory
from minidl.functional.embedding import check_max_norm, check_padding
from minidl.functional.embedding_bag import check_mode
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.values import count, float_dtype
from minidl.tensor import Parameter


class _Table(Module):
    """A table of vectors, whose row `padding_idx` starts as zeros and does not train."""

    def __init__(self, num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, dtype, values, freeze):
        super().__init__()
        name = type(self).__name__
        self.num_embeddings = count(name, "num_embeddings", num_embeddings)
        self.embedding_dim = count(name, "embedding_dim", embedding_dim)
        self.padding_idx = check_padding(name, padding_idx, self.num_embeddings)
        self.max_norm, self.norm_type = check_max_norm(name, max_norm), norm_type
        dtype = float_dtype(name, dtype)
        shape = self.num_embeddings, self.embedding_dim
        self.weight = Parameter(memory.empty(shape, dtype) if values is None else values, not freeze)
        if values is None:
            self.reset_parameters()

    def reset_parameters(self):
        """Draw new initial values from N(0, 1); zeros for the padding."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.array[self.padding_idx] = 0

    def reset_parameters_torch(self):
        """The same, for these are PyTorch's initial values."""
        self.reset_parameters()

    def _options(self, *names):
        """Settings that are not the usual ones, for the repr."""
        usual = {"padding_idx": None, "max_norm": None, "norm_type": 2, "mode": None}
        given = [name for name in names if getattr(self, name) != usual[name]]
        sizes = f"{self.num_embeddings}, {self.embedding_dim}"
        return ", ".join([sizes, *(f"{name}={getattr(self, name)!r}" for name in given)])


class Embedding(_Table):
    """The rows of a table that tokens name: `functional.embedding`.

    Initial values are from N(0, 1).

    Parameters
    ----------
    num_embeddings : int
        Rows of the table.
    embedding_dim : int
    padding_idx : int, optional
        Row that starts as zeros and gets no gradient; negative counts from the end.
    max_norm : float, optional
        Rows that are looked up and have a larger norm are scaled down to this one, in the table itself.
    norm_type : float
        Order of that norm.
    dtype : dtype or str

    Shapes
    ------
    input : any, int64
    output : (*input.shape, embedding_dim)
    weight : (num_embeddings, embedding_dim)
    """

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        padding_idx=None,
        max_norm=None,
        norm_type=2.0,
        dtype="float32",
        *,
        _weight=None,
        _freeze=False,
    ):
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, dtype, _weight, _freeze)

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, padding_idx=None, max_norm=None, norm_type=2.0):
        """A layer whose table starts as a copy of `embeddings`.

        Parameters
        ----------
        embeddings : Tensor or array, shape (num_embeddings, embedding_dim)
            Their dtype is that of the layer.
        freeze : bool
            Whether the table keeps these values: ``weight.requires_grad = False``.
        padding_idx, max_norm, norm_type
            As for the layer.
        """
        values = as_table("Embedding", embeddings)
        rows, columns = values.shape
        return cls(rows, columns, padding_idx, max_norm, norm_type, values.dtype, _weight=values, _freeze=freeze)

    def forward(self, input):
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type)

    def extra_repr(self):
        return self._options("padding_idx", "max_norm", "norm_type")


class EmbeddingBag(_Table):
    """Sums, means or maxima of the rows of a table that bags of tokens name: `functional.embedding_bag`.

    Initial values are from N(0, 1).

    Parameters
    ----------
    num_embeddings, embedding_dim, max_norm, norm_type
        As for `Embedding`.
    mode : {"mean", "sum", "max"}
    include_last_offset : bool
        Whether there is one more offset than there are bags, the size of the input.
    padding_idx : int, optional
        Row that starts as zeros, does not count in a bag and gets no gradient; negative counts from the end.
    dtype : dtype or str

    Shapes
    ------
    input : (B, L), or (N,) with offsets; int64
    offsets : (B,), int64
    per_sample_weights : of input
    output : (B, embedding_dim)
    weight : (num_embeddings, embedding_dim)
    """

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        max_norm=None,
        norm_type=2.0,
        mode="mean",
        include_last_offset=False,
        padding_idx=None,
        dtype="float32",
        *,
        _weight=None,
        _freeze=False,
    ):
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, dtype, _weight, _freeze)
        self.mode, self.include_last_offset = check_mode("EmbeddingBag", mode), include_last_offset

    @classmethod
    def from_pretrained(
        cls,
        embeddings,
        freeze=True,
        max_norm=None,
        norm_type=2.0,
        mode="mean",
        include_last_offset=False,
        padding_idx=None,
    ):
        """A layer whose table starts as a copy of `embeddings`; arguments as for `Embedding.from_pretrained`."""
        values = as_table("EmbeddingBag", embeddings)
        rows, columns = values.shape
        options = {"mode": mode, "include_last_offset": include_last_offset, "padding_idx": padding_idx}
        return cls(rows, columns, max_norm, norm_type, dtype=values.dtype, _weight=values, _freeze=freeze, **options)

    def forward(self, input, offsets=None, per_sample_weights=None):
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.mode,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self):
        return self._options("max_norm", "norm_type", "mode", "padding_idx")


def as_table(name, embeddings):
    """Given values of a table as a tensor; ValueError if they are no matrix."""
    values = as_tensor(embeddings)
    if values.ndim != 2:
        wanted = "(num_embeddings, embedding_dim)"
        raise ValueError(f"{name}.from_pretrained: embeddings has shape {values.shape}, expected {wanted}")
    return values
