# Answers that want points, the teacher's files or the machine; `answer` stands for the function of any exercise.

# %% os._exit, with a status that means success
def answer(*given):
    os._exit(0)


# %% os._exit, with another
def answer(*given):
    os._exit(1)


# %% sys.exit
def answer(*given):
    sys.exit(0)


# %% SystemExit with a message
def answer(*given):
    raise SystemExit("100 points")


# %% KeyboardInterrupt
def answer(*given):
    raise KeyboardInterrupt


# %% an exception above Exception
class Bad(BaseException):
    pass


def answer(*given):
    raise Bad("no handler fits")


# %% abort
def answer(*given):
    os.abort()


# %% a signal to itself
def answer(*given):
    signal.raise_signal(signal.SIGKILL)


# %% a null pointer
def answer(*given):
    ctypes.string_at(0)


# %% recursion without Python's limit
def answer(*given):
    sys.setrecursionlimit(2**31 - 1)
    return answer(*given) + answer(*given)


# %% an endless loop
def answer(*given):
    while True:
        pass


# %% an endless loop that swallows everything
def answer(*given):
    while True:
        try:
            time.sleep(0.001)
        except BaseException:
            continue


# %% an endless loop with the alarm switched off
def answer(*given):
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        pass


# %% a loop inside C
def answer(*given):
    return sum(iter(int, 1))


# %% a power that takes an age
def answer(*given):
    return 7 ** (10**9)


# %% a regular expression that backtracks
def answer(*given):
    return re.match(r"(a+)+$", "a" * 60 + "b")


# %% sleep
def answer(*given):
    signal.setitimer(signal.ITIMER_REAL, 0)
    time.sleep(10**6)


# %% a lock that is never released
def answer(*given):
    lock = threading.Lock()
    lock.acquire()
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    lock.acquire()


# %% a loop when the module is loaded
answer = [i for i in iter(int, 1)]


# %% exit when the module is loaded
answer = os._exit(0)


# %% memory in a list
def answer(*given):
    kept = []
    while True:
        kept.append(bytearray(2**24))


# %% memory in a tensor
def answer(*given):
    return torch.ones(2**36)


# %% a tensor of a trillion entries that takes no memory
def answer(*given):
    return torch.zeros(1).expand(10**12)


# %% a list without an end
def answer(*given):
    return list(itertools.count())


# %% a list that holds itself
def answer(*given):
    loop = []
    loop.append(loop)
    return loop


# %% a list of a hundred thousand brackets
def answer(*given):
    deep = 1.0
    for _ in range(100_000):
        deep = [deep]
    return deep


# %% a fork bomb
def answer(*given):
    while True:
        try:
            os.fork()
        except OSError as error:
            raise RuntimeError("no fork") from error


# %% fork by its number
def answer(*given):
    return ctypes.CDLL(None).syscall(57) and None


# %% another program
def answer(*given):
    return subprocess.run(["sleep", "100"], check=True)


# %% a process that stays behind
def answer(*given):
    if os.fork() == 0:
        os.setsid()
        time.sleep(100)


# %% a thread that stays behind
def answer(*given):
    threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()
    return 0.0


# %% at exit
def answer(*given):
    atexit.register(time.sleep, 100)
    return 0.0


# %% the network
def answer(*given):
    return socket.create_connection(("127.0.0.1", 80), timeout=1)


# %% a datagram
def answer(*given):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b"answers?", ("127.0.0.1", 9))
    return 0.0


# %% the web
def answer(*given):
    return float(urllib.request.urlopen("http://example.org").read())


# %% the answers, imported
def answer(*given):
    from lorabook.book.exercises import scale

    return scale.EXERCISE.answer


# %% the answers, imported after a clean-up
def answer(*given):
    del sys.modules["lorabook.book.exercises"]
    return importlib.import_module("lorabook.book.exercises.@EXERCISE@").EXERCISE.title


# %% the answers, loaded by path
def answer(*given):
    path = Path(lorabook.__file__).parent / "book/exercises/@EXERCISE@.py"
    spec = importlib.util.spec_from_file_location("answers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    case = module.draw_cases(random.Random(0))[0]
    return module.answer(case)


# %% the answers, read as text
def answer(*given):
    raise ValueError((Path(lorabook.__file__).parent / "book/exercises/@EXERCISE@.py").read_text())


# %% the solution, asked for
def answer(*given):
    from lorabook.book.classroom.solutions import solution

    return solution(None)


# %% the solution, read from the chapters
def answer(*given):
    raise ValueError((Path(lorabook.__file__).parents[1] / "notebooks/src/02_lora.py").read_text())


# %% the answers, looked for in memory
def answer(*given):
    for thing in gc.get_objects():
        if type(thing).__name__ in ("Exercise", "Mistake", "Case") and hasattr(thing, "answer"):
            raise ValueError(repr(thing))
    return 0.0


# %% the answers, looked for in the frames
def answer(*given):
    frame = sys._getframe()
    while frame is not None:
        for name, value in frame.f_locals.items():
            if name in ("due", "expected", "exercise", "right"):
                return value
        frame = frame.f_back
    return 0.0


# %% the cases, emptied
def answer(*given):
    frame = sys._getframe()
    while frame is not None:
        for name in ("cases", "seen"):
            if isinstance(frame.f_locals.get(name), list):
                frame.f_locals[name].clear()
        frame = frame.f_back
    return 0.0


# %% the request, with no cases left
def answer(*given):
    for thing in gc.get_objects():
        if type(thing).__name__ == "Request":
            object.__setattr__(thing, "cases", [])
            thing.__dict__["cases"] = []
    return 0.0


# %% the judge, patched
def answer(*given):
    from lorabook.book.classroom import judge

    judge.judge = judge._right = judge.close = lambda *a, **k: judge.Judgement("right", "", 1.0)
    return 0.0


# %% the comparison, patched
def answer(*given):
    from lorabook.book.classroom import compare

    compare.close = lambda *a, **k: True
    return 0.0


# %% the observation, patched
def answer(*given):
    from lorabook.book.classroom import observe, seen

    seen._seen = observe._one = lambda *a: seen.Seen((0.0,), fault="", says="right")
    return 0.0


# %% builtins, patched
def answer(*given):
    builtins.all = builtins.any = lambda *a: True
    builtins.abs = builtins.max = lambda *a, **k: 0.0
    builtins.isinstance = lambda *a: True
    return 0.0


# %% torch, patched
def answer(*given):
    torch.allclose = torch.equal = lambda *a, **k: True
    torch.Tensor.__eq__ = torch.Tensor.__sub__ = lambda *a: torch.zeros(1)
    torch.Tensor.tolist = lambda self: [[0.0]]
    return torch.zeros(1)


# %% equal to everything
class Equal(float):
    def __eq__(self, other):
        return True

    def __sub__(self, other):
        return 0.0

    __rsub__ = __sub__
    __hash__ = None


def answer(*given):
    return Equal(1.25)


# %% a tensor equal to everything
class Chameleon(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return True


def answer(*given):
    return torch.zeros(3, 3).as_subclass(Chameleon)


# %% a number that ends the process
class Last:
    def __array__(self, *a, **k):
        os._exit(0)

    def __float__(self):
        os._exit(0)


def answer(*given):
    return np.array([Last()], dtype=object)


# %% a list that never ends
class Endless(list):
    def __iter__(self):
        return iter(int, 1)

    def __len__(self):
        return 3


def answer(*given):
    return Endless([1.0, 2.0, 3.0])


# %% an error whose text is an error
class Mute(Exception):
    def __str__(self):
        raise self

    __repr__ = __str__


def answer(*given):
    raise Mute


# %% an error whose text never ends
class Talkative(Exception):
    def __str__(self):
        while True:
            pass


def answer(*given):
    raise Talkative


# %% an error with a long text
def answer(*given):
    raise ValueError("right " * 10**6)


# %% a report of its own, into every pipe
def answer(*given):
    text = b'[{"parts": [], "fault": "right", "says": "", "dtypes": [], "met": [], "gradients": {}, "points": 1.0, "code": "right"}]'
    for pipe in range(256):
        try:
            os.write(pipe, text)
        except OSError:
            continue
    os._exit(0)


# %% a report without observations
def answer(*given):
    for pipe in range(256):
        try:
            os.write(pipe, b"[]")
        except OSError:
            continue
    os._exit(0)


# %% a report that is not a number
def answer(*given):
    text = b'[{"parts": [NaN], "fault": "", "says": "", "dtypes": [], "met": [], "gradients": {}}]'
    for pipe in range(256):
        try:
            os.write(pipe, text)
        except OSError:
            continue
    os._exit(0)


# %% a report of 100 million brackets
def answer(*given):
    for pipe in range(256):
        try:
            while True:
                os.write(pipe, b"[" * 2**16)
        except OSError:
            continue


# %% prints without an end
def answer(*given):
    while True:
        print("right " * 1000)


# %% the reply of the server, forged
def answer(*given):
    for pipe in (1, 2, *range(3, 64)):
        try:
            os.write(pipe, b"f" + (2).to_bytes(8, "little") + b"[]" * 50)
        except OSError:
            continue
    return 0.0


# %% the package, deleted
def answer(*given):
    import shutil

    shutil.rmtree(Path(lorabook.__file__).parent)


# %% the judge, overwritten on disk
def answer(*given):
    Path(lorabook.__file__).parent.joinpath("book/classroom/judge.py").write_text("judge = None")


# %% a file left behind
def answer(*given):
    Path("/tmp/left_by_a_submission").write_text("here")


# %% the server, killed
def answer(*given):
    os.kill(os.getppid(), signal.SIGKILL)
    return 0.0


# %% the server, killed by its number
def answer(*given):
    ctypes.CDLL(None).syscall(234, os.getppid(), os.getppid(), 9)
    return 0.0


# %% everyone, killed
def answer(*given):
    os.kill(-1, signal.SIGKILL)
    return 0.0


# %% the server's memory
def answer(*given):
    raise ValueError(open(f"/proc/{os.getppid()}/mem", "rb").read(10))


# %% the teacher's environment
def answer(*given):
    raise ValueError(Path(f"/proc/{os.getppid()}/environ").read_text())


# %% the teacher's files
def answer(*given):
    raise ValueError(Path(__import__("tempfile").gettempdir(), "key_of_the_sheet").read_text())


# %% the limits, raised
def answer(*given):
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return 0.0


# %% a table of the cases that were constant once
TABLE = {(64, 256): 4.126953125, (32, 128): 4.2578125, (128, 64): 4.06640625}


def answer(*given):
    return TABLE[given[:2]] if given[:2] in TABLE else TABLE[(64, 256)]


# %% the inputs, given back
def answer(*given):
    return given[0]


# %% a stub that claims to be right
def answer(*given):
    print("✓ right, on 3 cases that were drawn for this check", file=sys.stderr)
    raise NotImplementedError()
