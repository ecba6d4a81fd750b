/** Work on many things with few at a time, each with its own failure. */

export class UploadQueue {
  /** work(item) returns a promise; at most `atOnce` of them are pending. */
  constructor(work, atOnce = 2) {
    this.work = work;
    this.atOnce = atOnce;
    this.waiting = [];
    this.running = 0;
  }

  /** The work's own promise, made when its turn comes. */
  add(item) {
    return new Promise((done, failed) => {
      this.waiting.push({ item, done, failed });
      this.#next();
    });
  }

  #next() {
    while (this.running < this.atOnce && this.waiting.length) {
      const { item, done, failed } = this.waiting.shift();
      this.running += 1;
      Promise.resolve(this.work(item))
        .then(done, failed)
        .finally(() => {
          this.running -= 1;
          this.#next();
        });
    }
  }
}
