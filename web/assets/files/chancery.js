// Chancery's client for apps in browsers: signs in, keeps the session through
// lost answers and in any number of tabs, and calls APIs. One ES module without
// dependencies. Every tab of an app makes one Chancery with the same options.
// It needs https, or a loopback address, and a browser of 2023 or newer: older
// ones follow a redirect of an API to another origin with the token.
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
 * @property {string} [name] Tells several sessions of one app in one browser apart. Not with a cookie, of which there is one.
 */

/**
 * @typedef {object} Change
 * @property {"login" | "refresh" | "signed-out"} kind What has happened, in this tab or in another.
 * @property {string} [cause] Why, as the server says: "revoked", "reuse_detected", "expired_idle", …; of a refresh that repeats one, "concurrent" or "lost_response".
 */

/**
 * What is stored: which login the session began with, which rotation of it this
 * is and, unless it is in a cookie, the refresh token. An access token never is.
 * @typedef {{ login: string, id: string, refreshToken?: string }} Stored
 */

/** @typedef {{ login: string, id: string, value: string, expiresAt: number, scope: string }} Access */

/** @typedef {{ kind: "token", access: Access, change: Change } | { kind: "signed-out", change: Change }} News */

/** Why a call has failed. */
export class ChanceryError extends Error {
  /**
   * @param {string} code An OAuth error code, "network" when no answer came, "storage" when the session cannot be saved, or "signed_out".
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

/**
 * How long an answer may take, in milliseconds. One with a cookie is given up on
 * late: it could still come, and overwrite the cookie of a newer one.
 */
const patience = 15_000;
const cookiePatience = 60_000;

/** The longest wait that the server may ask for while others wait too, in milliseconds. */
const longestRest = 10_000;

/** How long to wait for the token that another tab has just got, in milliseconds. */
const newsTime = 1000;

/** How long opening the database may take, in milliseconds. */
const openTime = 3000;

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
    const { issuer, clientId, cookie = false, scope = "", resource = "", apis = [location.origin], refreshAhead = 5, name = "" } = options;
    if (!issuer || issuer.endsWith("/") || !clientId) throw new TypeError("issuer, without a trailing slash, and clientId are needed.");
    if (cookie && name) throw new TypeError("A client with a cookie has one session; it cannot have a name.");
    if (!navigator.locks) throw new TypeError("Web Locks are needed: the page must come by https, or from a loopback address.");
    this.#options = { issuer, clientId, cookie, scope, resource, apis, refreshAhead, name };
    this.#key = `chancery ${this.#options.issuer} ${this.#options.clientId} ${this.#options.name}`;
    this.#channel = new BroadcastChannel(this.#key);
    this.#channel.addEventListener("message", (event) => this.#hear(event.data));
    /** @type {Promise<void>} Done when it is known whether there is a session from before. */
    this.ready = this.#load().then(() => {}, () => {});
    addEventListener("pageshow", this.#wake);
  }

  /** Ends what the object does. The session goes on. */
  close() {
    removeEventListener("pageshow", this.#wake);
    this.#channel.close();
  }

  /**
   * A page that comes back from the browser's cache has heard of nothing.
   * @param {PageTransitionEvent} event
   */
  #wake = async (event) => {
    if (!event.persisted) return;
    const stored = await this.#load().catch(() => null);
    if (!stored) this.#gone();
    else if (stored.id !== this.#access?.id) this.#access = null;
  };

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
      try {
        const answer = await this.#post("/oauth/token", {
          grant_type: "password", username, password, scope: this.#options.scope, resource: this.#options.resource,
        }, this.#complete);
        await this.#accept(answer, newID(), { kind: "login" });
      } catch (error) {
        // The cookie may be that of the login already whose answer was lost.
        if (this.#options.cookie && error instanceof ChanceryError && error.code === "network") await this.#forget({ kind: "signed-out", cause: "network" });
        throw error;
      }
    });
  }

  /**
   * Signs out here ("local"), on all other devices ("others") or everywhere
   * ("global"). The latter two need the scope "account". If it fails the session
   * is still there, and signing out can be tried again.
   * @param {"local" | "others" | "global"} [where]
   */
  async logout(where = "local") {
    await this.#locked(async () => {
      const stored = await this.#load();
      if (!stored && !this.#options.cookie) return;
      try {
        if (where === "local") {
          await this.#post("/oauth/revoke", { token: stored?.refreshToken ?? "", token_type_hint: "refresh_token" }, () => true, pauses);
        } else {
          await this.#logoutElsewhere(where, stored);
        }
      } catch (error) {
        if (!this.#isOver(error)) throw error;
      }
      if (where !== "others") await this.#forget({ kind: "signed-out", cause: "logout" });
    });
  }

  /**
   * @param {"others" | "global"} where
   * @param {Stored | null} stored
   */
  async #logoutElsewhere(where, stored) {
    const { issuer } = this.#options;
    const answer = await this.#post("/oauth/token", {
      grant_type: "refresh_token", refresh_token: stored?.refreshToken ?? "", resource: `${issuer}/account`,
    }, this.#complete, pauses);
    // The rotation keeps its name: the access tokens of all tabs are still good.
    if (stored) await this.#save({ ...stored, refreshToken: answer.refresh_token });
    const response = await fetch(`${issuer}/account/logout?scope=${where}`, {
      method: "POST", headers: { Authorization: `Bearer ${answer.access_token}` }, credentials: "omit", redirect: "error",
      referrerPolicy: "no-referrer", signal: AbortSignal.timeout(patience),
    }).catch(() => { throw new ChanceryError("network", "The server's answer did not come."); });
    if (!response.ok) throw new ChanceryError("logout_failed", "The sessions could not be ended.", { status: response.status });
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
    const token = await unlessAborted(this.token(), request.signal);
    const login = this.#access?.login;
    const response = await send(request.clone(), token);
    if (response.status !== 401) return response;
    try {
      const renewed = await unlessAborted(this.token(token), request.signal);
      // What one user has begun is not repeated as another.
      return this.#access?.login === login ? await send(request, renewed) : response;
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
      if (!stored) {
        this.#gone();
        throw new ChanceryError("signed_out", "There is no session.");
      }
      if (stored.id !== known) await this.#news(stored.id); // another tab was faster
      if (this.#access?.id === stored.id && this.#fresh(refused)) return;
      try {
        const answer = await this.#post("/oauth/token", {
          grant_type: "refresh_token", refresh_token: stored.refreshToken ?? "", resource: this.#options.resource,
        }, this.#complete, pauses);
        await this.#accept(answer, stored.login, { kind: "refresh", cause: answer.cause });
      } catch (error) {
        if (!(error instanceof ChanceryError) || !this.#isOver(error)) throw error;
        await this.#forget({ kind: "signed-out", cause: error.reason });
        throw new ChanceryError("signed_out", "The session is over.", { status: error.status, cause: error.reason });
      }
    });
  }

  /**
   * Whether the server has said that there is no such session. Without its
   * cookie, which the browser drops in time, a request lacks the token.
   * @param {unknown} error
   */
  #isOver(error) {
    return error instanceof ChanceryError && (error.code === "invalid_grant" || (this.#options.cookie && error.code === "invalid_request"));
  }

  /**
   * Waits until this tab has heard of a token, but not for long.
   * @param {string} id
   */
  async #news(id) {
    const until = Date.now() + newsTime;
    while (this.#access?.id !== id && Date.now() < until) {
      await new Promise((resolve) => {
        this.#channel.addEventListener("message", resolve, { once: true });
        setTimeout(resolve, 50);
      });
    }
  }

  /**
   * Whether an answer has all that a session needs. The page of a proxy has not.
   * @param {any} answer
   */
  #complete = (answer) => typeof answer.access_token === "string" && Number.isFinite(answer.expires_in) &&
    (this.#options.cookie || typeof answer.refresh_token === "string");

  /**
   * Saves the rotated refresh token, and only then uses what came with it.
   * @param {any} answer
   * @param {string} login
   * @param {Change} change
   */
  async #accept(answer, login, change) {
    const id = newID();
    await this.#save({ login, id, refreshToken: answer.refresh_token });
    this.#access = { login, id, value: answer.access_token, expiresAt: Date.now() + answer.expires_in * 1000, scope: answer.scope };
    this.#tell({ kind: "token", access: this.#access, change });
  }

  /** @param {Change} change */
  async #forget(change) {
    await this.#shelf.delete(this.#key);
    this.#signedIn = false;
    this.#access = null;
    this.#tell({ kind: "signed-out", change });
  }

  /** Notices that the session has ended without a word. */
  #gone() {
    if (this.#access || this.#signedIn) this.#hear({ kind: "signed-out", change: { kind: "signed-out" } });
  }

  /** @param {News} news */
  #tell(news) {
    this.#channel.postMessage(news);
    this.#dispatch(news.change);
  }

  /** @param {Change} change */
  #dispatch({ kind, cause }) {
    this.dispatchEvent(new CustomEvent("change", { detail: cause ? { kind, cause } : { kind } }));
  }

  /** @param {News} news */
  #hear(news) {
    this.#access = news.kind === "token" ? news.access : null;
    this.#signedIn = news.kind === "token";
    this.#dispatch(news.change);
  }

  /** @returns {Promise<Stored | null>} */
  async #load() {
    const stored = await this.#shelf.get(this.#key);
    if (stored) this.#signedIn = true;
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
   * lost, or that the server asks to be fetched a little later, is asked for
   * again after each of the pauses: the server repeats a rotation whose answer
   * was lost.
   * @param {string} path
   * @param {Record<string, string>} form
   * @param {(answer: any) => boolean} complete Whether an answer is what was asked for.
   * @param {number[]} [retries]
   * @returns {Promise<any>}
   */
  async #post(path, form, complete, retries = []) {
    const { issuer, clientId, cookie } = this.#options;
    const body = new URLSearchParams({ client_id: clientId });
    for (const [name, value] of Object.entries(form)) if (value) body.append(name, value);
    for (const pause of [...retries, null]) {
      let failure = new ChanceryError("network", "The server's answer did not come, or the client does not allow this page's origin.");
      try {
        const response = await fetch(issuer + path, {
          method: "POST", body, cache: "no-store", redirect: "error", referrerPolicy: "no-referrer",
          credentials: cookie ? "include" : "omit", signal: AbortSignal.timeout(cookie ? cookiePatience : patience),
        });
        const answer = parse(await response.text());
        if (response.ok && complete(answer)) return answer;
        if (response.ok) {
          failure = new ChanceryError("network", "The answer is not that of a token endpoint, or the option cookie does not fit the client.");
        } else {
          failure = new ChanceryError(answer.error ?? "server_error", answer.error_description ?? response.statusText, {
            status: response.status, cause: answer.cause, retryAfter: Number(response.headers.get("Retry-After")) || undefined,
          });
        }
      } catch {} // it is lost
      const final = failure.status !== undefined && failure.status < 429;
      const rest = Math.max(pause ?? 0, (failure.retryAfter ?? 0) * 1000);
      if (pause === null || final || rest > longestRest) throw failure;
      await sleep(rest);
    }
  }
}

/**
 * What all tabs share, in IndexedDB: unlike localStorage it shows every tab the
 * same, whatever process it is in. Where a page may have no database, a session
 * lives as long as its tab.
 */
class Shelf {
  /** @type {Promise<IDBDatabase | null> | null} */
  #database = null;
  /** @type {Map<string, Stored>} */
  #memory = new Map();

  /** @returns {Promise<IDBDatabase | null>} null where there is none. */
  #open() {
    this.#database ??= new Promise((resolve) => {
      setTimeout(() => resolve(null), openTime);
      try {
        const request = indexedDB.open("chancery", 1);
        request.onupgradeneeded = () => request.result.createObjectStore("sessions");
        request.onerror = () => resolve(null);
        request.onsuccess = () => {
          const database = request.result;
          const leave = () => { database.close(); this.#database = null; };
          database.onversionchange = leave; // a page wants to delete or to change it
          database.onclose = leave;
          resolve(database);
        };
      } catch {
        resolve(null);
      }
    });
    return this.#database;
  }

  /**
   * Does one thing, and returns its result when it is certain; undefined where
   * there is no database.
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => IDBRequest} work
   * @param {boolean} [again] Whether this is the second try.
   * @returns {Promise<{ result: any } | undefined>}
   */
  async #do(mode, work, again = false) {
    const database = await this.#open();
    if (!database) return undefined;
    try {
      return await new Promise((resolve, reject) => {
        const transaction = database.transaction("sessions", mode, { durability: "strict" });
        const request = work(transaction.objectStore("sessions"));
        transaction.oncomplete = () => resolve({ result: request.result });
        transaction.onabort = () => reject(transaction.error);
      });
    } catch {
      this.#database = null; // closed under our hands, as some browsers do
      if (!again) return this.#do(mode, work, true);
      throw new ChanceryError("storage", "The browser does not keep the session.");
    }
  }

  /**
   * @param {string} key
   * @returns {Promise<Stored | null>}
   */
  async get(key) {
    const found = await this.#do("readonly", (store) => store.get(key));
    return (found ? found.result : this.#memory.get(key)) ?? null;
  }

  /**
   * @param {string} key
   * @param {Stored} stored
   */
  async put(key, stored) {
    if (!(await this.#do("readwrite", (store) => store.put(stored, key)))) this.#memory.set(key, stored);
  }

  /** @param {string} key */
  async delete(key) {
    this.#memory.delete(key);
    await this.#do("readwrite", (store) => store.delete(key));
  }
}

/**
 * Waits for a promise, but not longer than the caller wants to.
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal} signal
 * @returns {Promise<T>}
 */
function unlessAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
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
