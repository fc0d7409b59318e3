import { connect, createServer, type Server, type Socket } from 'node:net';

/** Bytes that may wait in one direction of one connection before its sender is held back. */
const HELD_BYTES_MAX = 64 * 1024 * 1024;

/** What passes is given on `delayMs` later, in order, unchanged: a long line, not a thin one. */
export class DelayProxy {
  readonly #delayMs: number;
  readonly #target: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** @param target port of loopback that everything goes to */
  constructor(delayMs: number, target: number) {
    this.#delayMs = delayMs;
    this.#target = target;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** @returns the port on which it listens, of loopback */
  async listen(): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    return (this.#server.address() as { port: number }).port;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(near: Socket): void {
    const far = connect(this.#target, '127.0.0.1');
    this.#pass(near, far);
    this.#pass(far, near);
  }

  #pass(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.setNoDelay(true);
    let held = 0;
    from.on('data', (bytes: Buffer) => {
      held += bytes.length;
      if (held > HELD_BYTES_MAX) from.pause();
      setTimeout(() => {
        held -= bytes.length;
        if (!to.destroyed) to.write(bytes);
        if (from.isPaused() && held <= HELD_BYTES_MAX / 2) from.resume();
      }, this.#delayMs);
    });
    from.on('error', () => {});
    from.once('close', () => {
      this.#sockets.delete(from);
      setTimeout(() => to.destroy(), this.#delayMs);
    });
  }
}
