/** Buckets of one power of two: neighbouring buckets differ by 1/64, so a percentile is right within 1.6 %, or 1 µs. */
const PER_OCTAVE = 64;
/** Octaves of whole microseconds: up to 2^36 µs, more than 19 hours. */
const OCTAVES = 31;

/** What a histogram says, in milliseconds. */
export interface Percentiles {
  samples: number;
  meanMs: number;
  p50Ms: number;
  p90Ms: number;
  p99Ms: number;
  p999Ms: number;
  maxMs: number;
}

/**
 * Latencies in buckets whose width grows with the value: fixed memory however many are recorded, every one counted, none
 * sampled away. Can be sent between processes and added up, which percentiles cannot.
 */
export class Histogram {
  readonly #counts = new Float64Array(PER_OCTAVE * (OCTAVES + 1));
  #samples = 0;
  #sumUs = 0;
  #maxUs = 0;

  record(ms: number): void {
    const us = Math.max(0, ms * 1000);
    const bucket = bucketOf(us);
    this.#counts[bucket] = this.#counts[bucket]! + 1;
    this.#samples++;
    this.#sumUs += us;
    if (us > this.#maxUs) this.#maxUs = us;
  }

  get samples(): number {
    return this.#samples;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#samples = 0;
    this.#sumUs = 0;
    this.#maxUs = 0;
  }

  /** The value below which a part (0 … 1) of the samples lies, ms. 0 without samples. */
  quantile(part: number): number {
    const rank = Math.max(1, Math.ceil(part * this.#samples));
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank && this.#samples > 0) return Math.min(middleOf(bucket), this.#maxUs) / 1000;
    }
    return 0;
  }

  percentiles(): Percentiles {
    return {
      samples: this.#samples,
      meanMs: this.#samples === 0 ? 0 : this.#sumUs / this.#samples / 1000,
      p50Ms: this.quantile(0.5),
      p90Ms: this.quantile(0.9),
      p99Ms: this.quantile(0.99),
      p999Ms: this.quantile(0.999),
      maxMs: this.#maxUs / 1000,
    };
  }

  /** For another process: buckets that hold something, as pairs of bucket and count. */
  toJSON(): HistogramData {
    const buckets: [number, number][] = [];
    this.#counts.forEach((count, bucket) => {
      if (count > 0) buckets.push([bucket, count]);
    });
    return { buckets, sumUs: this.#sumUs, maxUs: this.#maxUs };
  }

  add(data: HistogramData): this {
    for (const [bucket, count] of data.buckets) {
      this.#counts[bucket] = this.#counts[bucket]! + count;
      this.#samples += count;
    }
    this.#sumUs += data.sumUs;
    this.#maxUs = Math.max(this.#maxUs, data.maxUs);
    return this;
  }
}

export interface HistogramData {
  buckets: [number, number][];
  sumUs: number;
  maxUs: number;
}

/** Below 64 µs one bucket a microsecond; above, 64 for each power of two. */
function bucketOf(us: number): number {
  const whole = Math.floor(us);
  if (whole < PER_OCTAVE) return whole;
  const octave = Math.floor(Math.log2(whole)) - 6;
  if (octave >= OCTAVES) return PER_OCTAVE * (OCTAVES + 1) - 1;
  return PER_OCTAVE * (octave + 1) + Math.floor(whole / 2 ** octave) - PER_OCTAVE;
}

function middleOf(bucket: number): number {
  if (bucket < PER_OCTAVE) return bucket;
  const octave = Math.floor(bucket / PER_OCTAVE) - 1;
  return (PER_OCTAVE + (bucket % PER_OCTAVE) + 0.5) * 2 ** octave;
}
