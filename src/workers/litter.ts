/** What lies in the young generation for each byte that lies outside of the heap. A quarter: a semi-space of 1 MB is full every 4 MB. */
const PART = 1 / 4;
const ELEMENT_BYTES = 8;
/** V8 keeps larger objects apart. */
const ELEMENTS_MAX = 15_000;

/**
 * Makes garbage on purpose, so that the young generation is collected in time. A message of a batch's size costs memory outside of V8's heap
 * (gRPC's frame where it is sent, the pieces that it is put together from where it arrives) and next to nothing inside. The memory outside is given
 * back when the young generation is collected, which fills too slowly for that; instead V8 marks the whole heap, on several threads, as soon
 * as some 8 MB are outside. A collection of the young generation costs a twentieth of that (docs/decisions/0011).
 */
export class Litter {
  /** Holds the newest piece: what nobody could see would be left out by the compiler. */
  #piece: readonly undefined[] = [];

  /** So many bytes of a message have come or gone. Returns how many bytes of garbage were made. */
  drop(byteLength: number): number {
    const elements = Math.min(ELEMENTS_MAX, Math.floor((byteLength * PART) / ELEMENT_BYTES));
    this.#piece = new Array(elements);
    return this.#piece.length * ELEMENT_BYTES;
  }
}
