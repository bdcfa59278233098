// Numbers as people read them, and arrays as they travel from Python.

export function show(value) {
  if (typeof value !== "number" || (Number.isInteger(value) && Math.abs(value) < 1e6)) return String(value);
  if (value === 0 || (Math.abs(value) >= 1e-4 && Math.abs(value) < 1e5)) return String(+value.toPrecision(4));
  return value.toExponential(2).replace(/\.?0*e\+?/, "e");
}

export function percent(share, digits = 0) {
  return `${(100 * share).toFixed(digits)}%`;
}

export function count(value) {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} B`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  return value >= 1e4 ? `${(value / 1e3).toFixed(1)} k` : String(value);
}

export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const i = value > 0 ? Math.min(4, Math.floor(Math.log2(value) / 10)) : 0;
  return `${(value / 2 ** (10 * i)).toPrecision(3)} ${units[i]}`;
}

const ARRAYS = { float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array };

// {shape, float32} and its like become typed arrays with a `shape`; everything else keeps its form.
export function unpack(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(unpack);
  const type = Object.keys(ARRAYS).find((name) => name in value);
  if (type === undefined) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unpack(item)]));
  const bytes = value[type];
  const copy = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength); // its offset may be odd
  return Object.assign(new ARRAYS[type](copy), { shape: value.shape });
}

// Row i (or row i, j, …) of an array that Python sent.
export function row(array, ...indices) {
  const inner = array.shape.slice(indices.length);
  const size = inner.reduce((product, n) => product * n, 1);
  const start = indices.reduce((at, i, axis) => at * array.shape[axis] + i, 0) * size;
  return Object.assign(array.subarray(start, start + size), { shape: inner });
}
