// Browsers start no worker for a page from a disk. There, this one takes the place
// of the search's: the same script, in a frame of the page.

if (location.protocol === 'file:') {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement('iframe');
      frame.hidden = true;
      document.documentElement.append(frame);
      this.inside = frame.contentWindow;
      this.inside.postMessage = (data) => {
        this.dispatchEvent(new MessageEvent('message', {data}));
      };
      const script = this.inside.document.createElement('script');
      script.src = url;
      this.loaded = new Promise((done) => script.addEventListener('load', done));
      this.inside.document.documentElement.append(script);
    }

    async postMessage(data) {
      await this.loaded;
      this.inside.dispatchEvent(new MessageEvent('message', {data}));
    }
  };
}
