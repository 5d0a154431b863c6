// Chancery's client for apps in browsers: signs in, keeps the session through
// lost answers and in any number of tabs, and calls APIs. One ES module without
// dependencies. Every tab of an app makes one Chancery with the same options.
//
//   import { Chancery } from "https://login.example/assets/chancery.js";
//   const session = new Chancery({ issuer: "https://login.example", clientId: "notes-web", cookie: true });
//   await session.ready; // then session.signedIn tells
//   await session.login("ada", password);
//   const notes = await (await session.fetch("/api/notes")).json();

/**
 * @typedef {object} Options
 * @property {string} issuer The server's URL, without a trailing slash.
 * @property {string} clientId A public first-party client that allows this page's origin.
 * @property {boolean} [cookie] Whether the client gets its refresh token in a cookie, out of reach for scripts. Better so.
 * @property {string} [scope] Scopes to ask for at login; the client's own if absent.
 * @property {string} [resource] The API to get tokens for; the client's first if absent.
 * @property {string[]} [apis] Origins that may be sent the access token; this page's own if absent.
 * @property {number} [refreshAhead] Seconds before its end from which an access token is no longer sent. 5 if absent.
 * @property {string} [name] Tells several sessions of one app in one browser apart.
 */

/**
 * @typedef {object} Change
 * @property {"login" | "refresh" | "signed-out"} kind What has happened, in this tab or in another.
 * @property {string} [cause] Why, as the server says: "revoked", "reuse_detected", "expired_idle", …; of a refresh that repeats one, "concurrent" or "lost_response".
 */

/**
 * What is stored: that there is a session, which rotation of it this is and,
 * unless it is in a cookie, the refresh token. An access token never is.
 * @typedef {{ id: string, refreshToken?: string }} Stored
 */

/** @typedef {{ id: string, value: string, expiresAt: number, scope: string }} Access */

/** @typedef {{ kind: "token", access: Access, change: Change } | { kind: "signed-out", change: Change }} News */

/** Why a call has failed. */
export class ChanceryError extends Error {
  /**
   * @param {string} code An OAuth error code, "network" when no answer came, or "signed_out".
   * @param {string} message
   * @param {{ status?: number, cause?: string, retryAfter?: number }} [details]
   */
  constructor(code, message, details = {}) {
    super(message);
    this.name = "ChanceryError";
    /** @type {string} */
    this.code = code;
    /** @type {number | undefined} The HTTP status, if there was an answer. */
    this.status = details.status;
    /** @type {string | undefined} Why the session is over. */
    this.reason = details.cause;
    /** @type {number | undefined} Seconds to wait before another try. */
    this.retryAfter = details.retryAfter;
  }
}

/** How long to wait before a lost answer is asked for again, in milliseconds. */
const pauses = [300, 1000, 2000, 4000, 8000];

/** How long an answer may take where giving up does no harm, in milliseconds. */
const patience = 15_000;

/** How long to wait for the token that another tab has just got, in milliseconds. */
const newsTime = 1000;

/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * A session of one user. It tells of changes by events of type "change", whose
 * detail is a Change.
 */
export class Chancery extends EventTarget {
  /** @type {Required<Options>} */
  #options;
  /** Names the session: in storage, as a lock, and as a channel between tabs. @type {string} */
  #key;
  /** @type {BroadcastChannel} */
  #channel;
  /** @type {Access | null} */
  #access = null;
  /** @type {Promise<void> | null} The refresh that is under way in this tab. */
  #refreshing = null;
  /** @type {Shelf} */
  #shelf = new Shelf();
  /** Whether there is a session, as this tab has last heard. */
  #signedIn = false;

  /** @param {Options} options */
  constructor(options) {
    super();
    this.#options = { cookie: false, scope: "", resource: "", apis: [location.origin], refreshAhead: 5, name: "", ...options };
    this.#key = `chancery ${this.#options.issuer} ${this.#options.clientId} ${this.#options.name}`;
    this.#channel = new BroadcastChannel(this.#key);
    this.#channel.addEventListener("message", (event) => this.#hear(event.data));
    /** @type {Promise<void>} Done when it is known whether there is a session from before. */
    this.ready = this.#load().then(() => {});
  }

  /** Whether there is a session, as far as this browser knows; see ready. */
  get signedIn() {
    return this.#signedIn;
  }

  /** When the access token of this tab ends, in milliseconds since 1970; 0 without one. */
  get expiresAt() {
    return this.#access?.expiresAt ?? 0;
  }

  /** The scopes of the access token of this tab. */
  get scope() {
    return this.#access?.scope ?? "";
  }

  /**
   * Signs in. A session that was there before in this browser is left alone on
   * the server, but no longer known here.
   * @param {string} username
   * @param {string} password
   */
  async login(username, password) {
    await this.#locked(async () => {
      const answer = await this.#post("/oauth/token", {
        grant_type: "password", username, password, scope: this.#options.scope, resource: this.#options.resource,
      });
      await this.#accept(answer, { kind: "login" });
    });
  }

  /**
   * Signs out here ("local"), on all other devices ("others") or everywhere
   * ("global"). The latter two need the scope "account".
   * @param {"local" | "others" | "global"} [where]
   */
  async logout(where = "local") {
    await this.#locked(async () => {
      const stored = await this.#load();
      if (!stored) return;
      try {
        if (where === "local") {
          await this.#post("/oauth/revoke", { token: stored.refreshToken ?? "", token_type_hint: "refresh_token" }, pauses);
          return;
        }
        const { issuer } = this.#options;
        const answer = await this.#post("/oauth/token", {
          grant_type: "refresh_token", refresh_token: stored.refreshToken ?? "", resource: `${issuer}/account`,
        }, pauses);
        await this.#save({ id: newID(), refreshToken: answer.refresh_token });
        const response = await fetch(`${issuer}/account/logout?scope=${where}`, {
          method: "POST", headers: { Authorization: `Bearer ${answer.access_token}` }, credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
        });
        if (!response.ok) throw new ChanceryError("logout_failed", "The other sessions could not be ended.", { status: response.status });
      } finally {
        if (where !== "others") await this.#forget({ kind: "signed-out", cause: "logout" });
      }
    });
  }

  /**
   * Calls an API with the access token, as fetch does. If the API refuses the
   * token with 401, the session is refreshed and the call repeated once. A
   * session that is over leaves the 401, and an event.
   * @param {RequestInfo | URL} input
   * @param {RequestInit} [init]
   * @returns {Promise<Response>}
   */
  async fetch(input, init) {
    const request = new Request(input, init);
    if (!this.#options.apis.includes(new URL(request.url).origin)) {
      throw new TypeError(`The access token is not for ${new URL(request.url).origin}; see the option "apis".`);
    }
    const token = await this.token();
    const response = await send(request.clone(), token);
    if (response.status !== 401) return response;
    try {
      return await send(request, await this.token(token));
    } catch (error) {
      if (error instanceof ChanceryError && error.code === "signed_out") return response;
      throw error;
    }
  }

  /**
   * Returns an access token, refreshed if need be.
   * @param {string} [refused] One that is not good any more, although it should be.
   * @returns {Promise<string>}
   */
  async token(refused) {
    if (!this.#fresh(refused)) {
      this.#refreshing ??= this.#refresh(refused).finally(() => { this.#refreshing = null; });
      await this.#refreshing;
    }
    if (!this.#access) throw new ChanceryError("signed_out", "There is no session.");
    return this.#access.value;
  }

  /** @param {string} [refused] */
  #fresh(refused) {
    return this.#access !== null && this.#access.value !== refused && Date.now() < this.#access.expiresAt - this.#options.refreshAhead * 1000;
  }

  /**
   * Refreshes once for all tabs: whoever gets the lock asks the server, and the
   * others take what it got. The lock is held until the answer has been read,
   * so that no late answer can overwrite a newer cookie.
   * @param {string} [refused]
   */
  async #refresh(refused) {
    const known = this.#access?.id ?? (await this.#load())?.id;
    await this.#locked(async () => {
      const stored = await this.#load();
      if (!stored) throw new ChanceryError("signed_out", "There is no session.");
      if (stored.id !== known) await this.#news(stored.id); // another tab was faster
      if (this.#access?.id === stored.id && this.#fresh(refused)) return;
      try {
        const answer = await this.#post("/oauth/token", {
          grant_type: "refresh_token", refresh_token: stored.refreshToken ?? "", resource: this.#options.resource,
        }, pauses);
        await this.#accept(answer, { kind: "refresh", cause: answer.cause });
      } catch (error) {
        if (!(error instanceof ChanceryError) || error.code !== "invalid_grant") throw error;
        await this.#forget({ kind: "signed-out", cause: error.reason });
        throw new ChanceryError("signed_out", "The session is over.", { status: error.status, cause: error.reason });
      }
    });
  }

  /**
   * Waits until this tab has heard of a token, but not for long.
   * @param {string} id
   */
  async #news(id) {
    for (let waited = 0; this.#access?.id !== id && waited < newsTime; waited += 20) await sleep(20);
  }

  /**
   * Saves the rotated refresh token, and only then uses what came with it.
   * @param {any} answer
   * @param {Change} change
   */
  async #accept(answer, change) {
    const id = newID();
    await this.#save({ id, refreshToken: answer.refresh_token });
    this.#access = { id, value: answer.access_token, expiresAt: Date.now() + answer.expires_in * 1000, scope: answer.scope };
    this.#tell({ kind: "token", access: this.#access, change });
  }

  /** @param {Change} change */
  async #forget(change) {
    await this.#shelf.delete(this.#key);
    this.#signedIn = false;
    this.#access = null;
    this.#tell({ kind: "signed-out", change });
  }

  /** @param {News} news */
  #tell(news) {
    this.#channel.postMessage(news);
    this.dispatchEvent(new CustomEvent("change", { detail: news.change }));
  }

  /** @param {News} news */
  #hear(news) {
    this.#access = news.kind === "token" ? news.access : null;
    this.#signedIn = news.kind === "token";
    this.dispatchEvent(new CustomEvent("change", { detail: news.change }));
  }

  /** @returns {Promise<Stored | null>} */
  async #load() {
    const stored = await this.#shelf.get(this.#key);
    this.#signedIn = stored !== null;
    return stored;
  }

  /** @param {Stored} stored */
  async #save(stored) {
    await this.#shelf.put(this.#key, stored);
    this.#signedIn = true;
  }

  /** @param {() => Promise<void>} work */
  async #locked(work) {
    await navigator.locks.request(this.#key, work);
  }

  /**
   * Sends a form to the server and returns what it answers. An answer that is
   * lost, or that the server asks to be fetched later, is asked for again after
   * each of the pauses: the server repeats a rotation whose answer was lost.
   * @param {string} path
   * @param {Record<string, string>} form
   * @param {number[]} [retries]
   * @returns {Promise<any>}
   */
  async #post(path, form, retries = []) {
    const body = new URLSearchParams({ client_id: this.#options.clientId });
    for (const [name, value] of Object.entries(form)) if (value) body.append(name, value);
    for (const pause of [...retries, null]) {
      /** @type {ChanceryError} */
      let failure;
      try {
        const response = await fetch(this.#options.issuer + path, {
          method: "POST", body, cache: "no-store", redirect: "error", referrerPolicy: "no-referrer",
          credentials: this.#options.cookie ? "include" : "omit",
          // An answer with a cookie is always awaited: given up on, it could
          // still come, and overwrite the cookie of a newer one.
          signal: this.#options.cookie ? null : AbortSignal.timeout(patience),
        });
        const answer = parse(await response.text());
        if (response.ok) return answer;
        failure = new ChanceryError(answer.error ?? "server_error", answer.error_description ?? response.statusText, {
          status: response.status, cause: answer.cause, retryAfter: Number(response.headers.get("Retry-After")) || undefined,
        });
        if (response.status < 429) throw failure;
      } catch (error) {
        if (error instanceof ChanceryError) throw error;
        failure = new ChanceryError("network", "The server's answer did not come.");
      }
      if (pause === null) throw failure;
      await sleep(Math.max(pause, (failure.retryAfter ?? 0) * 1000));
    }
  }
}

/**
 * What all tabs share, in IndexedDB: unlike localStorage it shows every tab the
 * same, whatever process it is in. Where there is none, the session lives as
 * long as its tab.
 */
class Shelf {
  /** @type {Promise<IDBDatabase | null> | undefined} */
  #database;
  /** @type {Map<string, Stored>} */
  #memory = new Map();

  /** @returns {Promise<IDBDatabase | null>} */
  #open() {
    this.#database ??= new Promise((resolve) => {
      const request = indexedDB.open("chancery", 1);
      request.onupgradeneeded = () => request.result.createObjectStore("sessions");
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(null);
    });
    return this.#database;
  }

  /**
   * Does one thing, and returns when it is certain.
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => IDBRequest} work
   * @returns {Promise<any>} undefined where nothing can be stored.
   */
  async #do(mode, work) {
    const database = await this.#open();
    if (!database) return undefined;
    return new Promise((resolve) => {
      const transaction = database.transaction("sessions", mode, { durability: "strict" });
      const request = work(transaction.objectStore("sessions"));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => resolve(undefined);
    });
  }

  /**
   * @param {string} key
   * @returns {Promise<Stored | null>}
   */
  async get(key) {
    return this.#memory.get(key) ?? (await this.#do("readonly", (store) => store.get(key))) ?? null;
  }

  /**
   * @param {string} key
   * @param {Stored} stored
   */
  async put(key, stored) {
    this.#memory.delete(key);
    if ((await this.#do("readwrite", (store) => store.put(stored, key))) === undefined) this.#memory.set(key, stored);
  }

  /** @param {string} key */
  async delete(key) {
    this.#memory.delete(key);
    await this.#do("readwrite", (store) => store.delete(key));
  }
}

/**
 * @param {Request} request
 * @param {string} token
 */
async function send(request, token) {
  request.headers.set("Authorization", `Bearer ${token}`);
  return fetch(request);
}

/**
 * @param {string} text
 * @returns {any} An empty object for what is no JSON: the page of a proxy, say.
 */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** Names one rotation. */
function newID() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");
}
