"""Networks that learn well, with their data and training: what patients are made from."""

from zoo.networks import cnn, mlp, reader

MLP = dict(data=("digits",), network=mlp(64, 64, 64, 10))
DEEP = dict(data=("digits",), network=mlp(64, *[64] * 8, 10), lr=0.05)
TANH = dict(data=("digits",), network=mlp(64, 32, 32, 32, 10, activation="tanh"), init=("lecun",))
SIGMOID = dict(data=("digits",), network=mlp(64, 32, 32, 10, activation="sigmoid"), init=("xavier", 2.0), lr=0.5)
MNIST = dict(data=("mnist",), network=mlp(784, 64, 64, 10))
CNN = dict(data=("digit_images",), network=cnn(1, 8, 16, 16), optimizer="momentum", lr=0.05, batch=32)
DEEP_CNN = dict(data=("digit_images",), network=cnn(1, *[8] * 8, pools=(1, 3)), optimizer="momentum", lr=0.02, batch=32)

RECURRENT = dict(optimizer="adam", clip=1.0, batch=32)
RNN_ROWS = dict(RECURRENT, data=("digit_rows",), network=reader("rnn", 8, 32, 10), lr=3e-3)
LSTM_ROWS = dict(RECURRENT, data=("digit_rows",), network=reader("lstm", 8, 32, 10), lr=3e-3)
GRU_ROWS = dict(RECURRENT, data=("digit_rows",), network=reader("gru", 8, 32, 10), lr=3e-3)
RNN_ORDER = dict(RECURRENT, data=("order", 20), network=reader("rnn", 6, 32, 4), lr=2e-3, steps=1500)
LSTM_ORDER = dict(RECURRENT, data=("order", 30), network=reader("lstm", 6, 24, 4), lr=5e-3, steps=1000)
GRU_ORDER = dict(RECURRENT, data=("order", 30), network=reader("gru", 6, 24, 4), lr=5e-3, steps=1000)
LSTM_ADDING = dict(RECURRENT, data=("adding", 30), network=reader("lstm", 2, 24, 1), lr=1e-2, steps=1500, loss="mse")
GRU_ADDING = dict(RECURRENT, data=("adding", 30), network=reader("gru", 2, 24, 1), lr=1e-2, steps=1500, loss="mse")
GRU_MNIST = dict(RECURRENT, data=("mnist_rows",), network=reader("gru", 28, 24, 10), lr=5e-3)
