"""The commands of the command line, one function each."""

import importlib
import os
import pkgutil
import platform
import time
from pathlib import Path

import numpy as np

import minidl
from minidl import optim, serialize
from minidl.cli import CommandError
from minidl.data import DataLoader, digits, random_split
from minidl.data.uci import standardize
from minidl.optim.lr_scheduler import ExponentialLR
from minidl.train import CSVLogger, LRScheduler, Trainer
from minidl.train.plot import plot_curves
from minidl.train.run import CURVES, METRICS, load_run, mlp, save_run

VALIDATION = 0.1  # of the training data, to draw curves from: the test data are looked at once, at the end
LEARNING_RATES = {"sgd": 0.05, "adam": 0.002, "adamw": 0.002}
DECAY = 0.95  # of the learning rate, per epoch


def train(args):
    """Train on the digits; leaves the run's folder."""
    serialize.require_package("train")  # rather than after the training
    folder = make_folder(args.out)
    minidl.manual_seed(args.seed)
    args.lr = args.lr or LEARNING_RATES[args.optimizer]
    training, validation = random_split(digits(), [1 - VALIDATION, VALIDATION], seed=args.seed)
    test = digits(train=False)
    sizes = [64, *args.hidden, 10]
    model = mlp(sizes)
    optimizer = make_optimizer(args, model)
    trainer = Trainer(model, optimizer)
    if not args.quiet:
        parameters = sum(parameter.array.size for parameter in model.parameters())
        print(f"digits: {len(training)} images to train with, {len(validation)} to validate, {len(test)} to test")
        print(f"MLP {'-'.join(map(str, sizes))}: {parameters:,} parameters; {args.optimizer}, {args.epochs} epochs")
    try:
        history = trainer.fit(
            DataLoader(training, args.batch, shuffle=True, seed=args.seed),
            validation,
            epochs=args.epochs,
            callbacks=[LRScheduler(ExponentialLR(optimizer, DECAY)), CSVLogger(folder / METRICS)],
            progress=not args.quiet,
        )
    except FloatingPointError as error:
        raise CommandError(f"training stopped, {error}; a smaller --lr may help") from error
    save_run(folder, model, sizes, {key: value for key, value in vars(args).items() if key not in ("command", "out")})
    score = trainer.evaluate(test)["accuracy"]
    print(f"test accuracy {100 * score:.2f} % ({round(score * len(test))} of {len(test)})")
    draw(history, folder)
    if not args.quiet:
        print(f"saved in {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
        print(f"next: minidl predict {folder}")
    return 130 if history.interrupted else 0


def make_folder(out):
    """The run's folder; by default one named after the time."""
    folder = Path(out) if out else Path("runs") / time.strftime("%Y-%m-%d_%H-%M-%S")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} is not writable")
    except OSError as error:
        raise CommandError(f"--out: cannot make the folder {folder}: {error}") from error
    return folder


def make_optimizer(args, model):
    """The optimizer that was asked for."""
    if args.optimizer == "sgd":
        return optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
    kind = {"adam": optim.Adam, "adamw": optim.AdamW}[args.optimizer]
    return kind(model.parameters(), lr=args.lr)


def draw(history, folder):
    """The curves, where Matplotlib is there to draw them."""
    if not len(history):
        return
    try:
        plot_curves(history, folder / CURVES)
    except ImportError:
        print(f"no {CURVES}: it needs matplotlib: pip install 'minidl[train]'")


def predict(args):
    """Read digits with a trained model."""
    try:
        model = load_run(args.run)
        pixels = None if args.input is None else read_pixels(Path(args.input), model[0].in_features)
    except ValueError as error:
        raise CommandError(error) from error
    trainer = Trainer(model, optimizer=None)
    if pixels is None:
        inputs, labels = digits(train=False).tensors
        classes, _ = classify(trainer.predict(inputs))
        print_table(classes, labels)
        return
    print("row,class,probability")
    for row, (label, probability) in enumerate(zip(*classify(trainer.predict(standardize(pixels))), strict=True), 1):
        print(f"{row},{label},{probability:.4f}")


def classify(logits):
    """The most probable class of each row, and its probability by softmax."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return logits.argmax(axis=1), weights.max(axis=1) / weights.sum(axis=1)


def print_table(classes, labels):
    """Accuracy, and for each digit how often it was read and what it was mistaken for."""
    right = classes == labels
    print(f"test accuracy {100 * right.mean():.2f} % ({right.sum()} of {len(labels)})")
    print("digit  images  right  taken for")
    for digit in range(10):
        mine = labels == digit
        wrong = [f"{other} ({count}x)" for other, count in enumerate(np.bincount(classes[mine & ~right])) if count]
        print(f"{digit:5d}  {mine.sum():6d}  {(mine & right).sum():5d}  {', '.join(wrong)}".rstrip())


def read_pixels(path, columns):
    """Images from a file, one per row.

    Parameters
    ----------
    path : Path
        ``.npy``, or ``.csv`` with or without a line of names.
    columns : int
        Pixels per image.

    Returns
    -------
    ndarray of float32, shape (N, columns)
    """
    if not path.is_file():
        raise FileNotFoundError(f"--input: no such file: {path}")
    if path.suffix not in (".npy", ".csv"):
        raise ValueError(f"--input: got {path}, expected a .csv or .npy file")
    try:
        pixels = np.load(path) if path.suffix == ".npy" else read_csv(path)
        pixels = np.asarray(pixels, np.float32)
    except (ValueError, TypeError, EOFError) as error:  # TypeError: an archive of several arrays
        raise ValueError(f"--input: {path} cannot be read as numbers: {error}") from error
    images = pixels.reshape(len(pixels), -1) if pixels.ndim > 1 and pixels.size else pixels
    if images.ndim != 2 or not len(images) or images.shape[1] != columns:
        raise ValueError(f"--input: {path} has shape {pixels.shape}, expected rows of {columns} pixels")
    if not ((images >= 0) & (images <= 16)).all():  # false for NaN too
        row = int(np.flatnonzero(~((images >= 0) & (images <= 16)).all(axis=1))[0]) + 1
        raise ValueError(f"--input: {path}, row {row}: pixels must be numbers from 0 to 16")
    return images


def read_csv(path):
    """Numbers of a CSV file; a first line that holds none is taken for names."""
    rows = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]  # Excel writes a BOM
    if rows and not any(map(is_number, rows[0].split(","))):
        del rows[0]
    if not rows:
        raise ValueError("it has no rows")
    return np.loadtxt(rows, delimiter=",", ndmin=2)


def is_number(text):
    """Whether `text` can be read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def info(args):
    """What minidl runs on."""
    import numba

    from minidl.kernels import build_info
    from minidl.kernels.backward import compiler

    compiler.follow_num_threads()  # starts Numba's threads, which decides the layer
    features = [name for name, used in build_info.FEATURES.items() if used]
    lines = {
        "minidl": minidl.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": minidl.get_num_threads(),
        "kernels use": ", ".join(features) or "no vector extensions",
        "openmp": "yes" if build_info.OPENMP else "no: forward kernels run on one core",
        "compiler": build_info.COMPILER + ("" if build_info.OPTIMIZED else ", debug build"),
        "numba threads": numba.threading_layer(),
        "kernel cache": compiler.cache_folder() or "none: no folder is writable, kernels are compiled at every start",
    }
    for name, value in lines.items():
        print(f"{name + ':':15s}{value}")


def cpu_model():
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def warmup(args):
    """Compile all backward kernels."""
    from tqdm import tqdm

    from minidl.kernels.backward import compiler

    dtypes = [np.dtype(np.float32), *([np.dtype(np.float64)] if args.float64 else [])]
    work = [(kernel, dtype) for kernel in backward_kernels() for dtype in dtypes]
    began = time.perf_counter()
    with tqdm(work, unit="kernel", disable=None, dynamic_ncols=True) as bar:
        compiler.Notice.silent = not bar.disable  # the bar says it
        for kernel, dtype in bar:
            bar.set_postfix_str(f"{kernel.name} ({dtype})")
            kernel.address(dtype)
    compiler.Notice.silent = False
    kept = f"kept in {compiler.cache_folder()}" if compiler.CACHE else "not kept: no folder is writable"
    print(f"{len(work)} kernels ready after {time.perf_counter() - began:.1f} s, {kept}")


def backward_kernels():
    """Every kernel in the modules of `minidl.kernels.backward`."""
    from minidl.kernels import backward
    from minidl.kernels.backward.compiler import NumbaKernel

    modules = [
        importlib.import_module(f"{backward.__name__}.{found.name}")
        for found in pkgutil.iter_modules(backward.__path__)
    ]
    found = (value for module in modules for value in vars(module).values() if isinstance(value, NumbaKernel))
    return list(dict.fromkeys(found))
