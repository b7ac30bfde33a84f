import numpy as np
from op_table import Op

from minidl import functional as F


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def convolved(x, w, b, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation by its definition, in two dimensions."""
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    kh, kw = w.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    rows, columns = (x.shape[2] - dh * (kh - 1) - 1) // sh + 1, (x.shape[3] - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((x.shape[0], w.shape[0], rows, columns)) + b.reshape(1, -1, 1, 1)
    outer, inner = w.shape[0] // groups, w.shape[1]
    for g in range(groups):
        for i in range(kh):
            for j in range(kw):
                seen = x[:, g * inner : (g + 1) * inner, i * dh :: sh, j * dw :: sw][:, :, :rows, :columns]
                part = w[g * outer : (g + 1) * outer, :, i, j]
                y[:, g * outer : (g + 1) * outer] += np.einsum("nchw,oc->nohw", seen, part)
    return y


def spread(x, w, b, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Transposed convolution by its definition: every pixel of x adds a kernel to the result."""
    (sh, sw), (ph, pw), (eh, ew), (dh, dw) = pair(stride), pair(padding), pair(output_padding), pair(dilation)
    (N, C, H, W), (inner, kh, kw) = x.shape, w.shape[1:]
    y = np.zeros((N, groups * inner, (H - 1) * sh + dh * (kh - 1) + 1 + eh, (W - 1) * sw + dw * (kw - 1) + 1 + ew))
    outer = C // groups
    for g in range(groups):
        for i in range(kh):
            for j in range(kw):
                part = np.einsum(
                    "nchw,co->nohw", x[:, g * outer : (g + 1) * outer], w[g * outer : (g + 1) * outer, :, i, j]
                )
                rows, columns = slice(i * dh, i * dh + H * sh, sh), slice(j * dw, j * dw + W * sw, sw)
                y[:, g * inner : (g + 1) * inner, rows, columns][:, :, :H, :W] += part
    return y[:, :, ph : y.shape[2] - ph, pw : y.shape[3] - pw] + b.reshape(1, -1, 1, 1)


def one_dimension(reference, **options):
    """A reference for sequences from one for images: images of height 1."""
    options = {
        name: ((name in ("stride", "dilation")) * 1, n) if name != "groups" else n for name, n in options.items()
    }
    return lambda x, w, b: reference(x[:, :, None], w[:, :, None], b, **options)[:, :, 0]


def case(name, reference, shapes, **options):
    """One function with some options."""
    return Op(
        name + "".join(f"-{key}={value}" for key, value in options.items()),
        lambda x, w, b: getattr(F, name)(x, w, b, **options),
        reference(**options),
        shapes,
        torch=lambda x, w, b: getattr(__import__("torch").nn.functional, name)(x, w, b, **options),
    )


def conv1d(shapes, **options):
    return case("conv1d", lambda **o: one_dimension(convolved, **o), shapes, **options)


def conv2d(shapes, **options):
    return case("conv2d", lambda **o: lambda x, w, b: convolved(x, w, b, **o), shapes, **options)


def conv_transpose1d(shapes, **options):
    return case("conv_transpose1d", lambda **o: one_dimension(spread, **o), shapes, **options)


def conv_transpose2d(shapes, **options):
    return case("conv_transpose2d", lambda **o: lambda x, w, b: spread(x, w, b, **o), shapes, **options)


OPS = [
    conv2d(
        [
            ((2, 3, 5, 6), (4, 3, 3, 2), (4,)),
            ((1, 1, 1, 1), (1, 1, 1, 1), (1,)),
            ((0, 2, 4, 4), (3, 2, 3, 3), (3,)),
            ((1, 2, 4, 9), (15, 2, 2, 2), (15,)),  # more outputs than a tile has rows, columns for more than one vector
            ((1, 1, 3, 35), (2, 1, 1, 3), (2,)),
        ]
    ),
    conv2d([((2, 2, 5, 5), (3, 2, 3, 3), (3,)), ((1, 2, 3, 17), (2, 2, 5, 5), (2,))], padding=2),
    conv2d([((2, 2, 7, 6), (3, 2, 3, 3), (3,)), ((1, 1, 5, 37), (2, 1, 3, 3), (2,))], stride=2, padding=1),
    conv2d([((2, 2, 6, 6), (3, 2, 1, 1), (3,))], stride=2),  # pixels that no window sees
    conv2d([((1, 2, 9, 11), (2, 2, 2, 3), (2,))], stride=(3, 2), padding=(1, 2)),
    conv2d([((1, 2, 8, 9), (3, 2, 3, 3), (3,))], dilation=2, padding=1),
    conv2d([((1, 2, 9, 9), (2, 2, 3, 2), (2,))], stride=2, dilation=(2, 3), padding=2),
    conv2d([((2, 4, 5, 5), (6, 2, 3, 3), (6,))], groups=2, padding=1),
    conv2d([((2, 3, 6, 6), (3, 1, 3, 3), (3,)), ((2, 3, 6, 6), (6, 1, 3, 3), (6,))], groups=3, padding=1),  # depthwise
    conv2d([((1, 6, 7, 7), (6, 1, 3, 3), (6,))], groups=6, stride=2, padding=1),
    Op(
        "conv2d-same",
        lambda x, w, b: F.conv2d(x, w, b, padding="same", dilation=(1, 2)),
        lambda x, w, b: convolved(np.pad(x, ((0, 0), (0, 0), (1, 2), (2, 2))), w, b, dilation=(1, 2)),
        [((2, 2, 5, 5), (3, 2, 4, 3), (3,))],
        torch=lambda x, w, b: __import__("torch").nn.functional.conv2d(x, w, b, padding="same", dilation=(1, 2)),
    ),
    Op(
        "conv2d-relu",
        lambda x, w, b: F.conv2d(x, w, b, padding=1, activation="relu"),
        lambda x, w, b: np.maximum(convolved(x, w, b, padding=1), 0),
        [((2, 2, 5, 5), (3, 2, 3, 3), (3,)), ((1, 1, 4, 33), (2, 1, 3, 3), (2,))],
        torch=lambda x, w, b: __import__("torch").nn.functional.conv2d(x, w, b, padding=1).relu(),
    ),
    Op(
        "conv2d-single-no-bias",
        lambda x, w: F.conv2d(x, w),
        lambda x, w: convolved(x[None], w, np.zeros(3))[0],
        [((2, 5, 5), (3, 2, 3, 3))],
        torch=lambda x, w: __import__("torch").nn.functional.conv2d(x, w),
    ),
    conv1d([((2, 3, 9), (4, 3, 3), (4,)), ((1, 1, 1), (1, 1, 1), (1,)), ((0, 2, 5), (3, 2, 3), (3,))]),
    conv1d([((2, 2, 12), (4, 1, 3), (4,))], stride=2, padding=2, dilation=2, groups=2),
    Op(
        "conv1d-single",
        lambda x, w: F.conv1d(x, w, padding="same"),
        lambda x, w: one_dimension(convolved, padding=1)(x[None], w, np.zeros(3))[0],
        [((2, 7), (3, 2, 3))],
        torch=lambda x, w: __import__("torch").nn.functional.conv1d(x, w, padding="same"),
    ),
    conv_transpose2d(
        [
            ((2, 3, 4, 5), (3, 4, 3, 2), (4,)),
            ((1, 1, 1, 1), (1, 1, 1, 1), (1,)),
            ((0, 2, 4, 4), (2, 3, 3, 3), (3,)),
            ((1, 2, 3, 33), (2, 2, 2, 2), (2,)),
        ]
    ),
    conv_transpose2d([((2, 2, 4, 3), (2, 3, 3, 3), (3,))], stride=2, padding=1, output_padding=1),
    conv_transpose2d([((2, 2, 4, 3), (2, 3, 2, 2), (3,))], stride=(3, 2), output_padding=(1, 0)),
    conv_transpose2d([((1, 4, 4, 4), (4, 2, 3, 3), (4,))], groups=2, dilation=2, stride=2, padding=2),
    conv_transpose1d([((2, 3, 5), (3, 4, 3), (4,))]),
    conv_transpose1d([((2, 4, 5), (4, 1, 4), (2,))], stride=3, padding=1, output_padding=2, groups=2),
]
