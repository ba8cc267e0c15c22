// Keeps a page of nsqadmin live: it asks for the page again every two seconds and changes in
// place what is different. Pages work without it; what is here makes them smooth.
//
// What templates say to it:
//   data-live          shows whether the page is live; a page without one stays as it is
//   data-soft          a link or a GET form that changes only the query: no page load
//   data-key (or id)   names an element among its siblings, so that it moves and keeps its state
//   data-keep          stays as it is
//   data-counter       a number that runs up to its next value
//   data-copy          text that gets a button to copy it
//   <time datetime>    gets the reader's own time

const interval = 2000; // ms from one answer to the next question
const longest = 30000; // between attempts while nsqadmin does not answer
const patience = 10000; // for one answer
const typing = 250; // a pause that ends a word

const main = document.querySelector("main");
const live = document.querySelector("[data-live]");
let timer, request; // of the next refresh, of the question on its way
let wordTimer;
let failures = 0; // in a row
let pressed = false; // on the way to a click what is below the pointer must not move

// ---- asking for the page again

function start() {
	enhance(main);
	document.addEventListener("click", followSoftly);
	document.addEventListener("submit", submitSoftly);
	document.addEventListener("input", filterSoftly);
	document.addEventListener("click", copy);
	if (!live) return;
	live.setAttribute("aria-live", "polite");
	document.addEventListener("visibilitychange", () => schedule(0));
	document.addEventListener("selectionchange", () => live.dataset.live === "paused" && schedule(interval / 4));
	for (const event of ["pointerdown", "pointerup", "pointercancel", "dragend"]) {
		document.addEventListener(event, () => (pressed = event === "pointerdown"));
	}
	// The browser brings a page back as it was, perhaps long ago.
	window.addEventListener("pageshow", (event) => event.persisted && schedule(0));
	window.addEventListener("pagehide", () => request?.abort());
	window.addEventListener("online", () => schedule(0));
	showLive();
	schedule(interval);
}

function schedule(delay) {
	clearTimeout(timer);
	if (live && !document.hidden) timer = setTimeout(refresh, delay);
}

// refresh asks for the page, unless the user is busy with what is there.
async function refresh() {
	if (selecting()) {
		show("paused", "Paused while text is selected");
		return schedule(interval);
	}
	if (pressed) return schedule(interval / 4);
	try {
		if (!(await load(location.href))) return;
		failures = 0;
		showLive();
		schedule(interval);
	} catch (error) {
		failures++;
		// One question may get lost; two are worth a word.
		if (failures > 1) {
			show("off", `nsqadmin ${error instanceof Refusal ? error.message : "does not answer"}; trying again`);
		}
		schedule(Math.min(interval * 2 ** (failures - 1), longest));
	}
}

function selecting() {
	const selection = getSelection();
	return !selection.isCollapsed && main.contains(selection.anchorNode);
}

// show changes the text only if it is another: a screen reader reads it out.
function show(state, text) {
	if (!live) return;
	if (live.dataset.live !== state) live.dataset.live = state;
	if (live.textContent !== text) live.textContent = text;
}

function showLive() {
	show("on", "Live");
	live?.setAttribute("title", `Updated at ${new Date().toLocaleTimeString()}`);
}

class Refusal extends Error {}

// load turns the page into what is at url, and reports false when something else was asked for
// in the meantime.
async function load(url) {
	request?.abort();
	clearTimeout(timer);
	const mine = (request = new AbortController());
	try {
		const signal = AbortSignal.any([mine.signal, AbortSignal.timeout(patience)]);
		const answer = await fetch(url, { signal, headers: { Accept: "text/html", "X-Live": "1" } });
		const page = new DOMParser().parseFromString(await answer.text(), "text/html");
		if (mine.signal.aborted) return false;
		const next = page.querySelector("main");
		// What a proxy says in its own name is no page of nsqadmin.
		if (answer.status >= 500 || answer.redirected || next?.id !== main.id) throw new Refusal(`answers with status ${answer.status}`);
		if (hasMoved(page)) return location.reload();
		enhance(next);
		change(main, next);
		if (document.title !== page.title) document.title = page.title;
		return true;
	} catch (error) {
		if (mine.signal.aborted) return false;
		throw error;
	}
}

// hasMoved reports whether the page is one of another version, with another script or style.
function hasMoved(page) {
	const assets = (root) => Array.from(root.querySelectorAll("script, link[rel=stylesheet]"), (e) => e.getAttribute("src") ?? e.getAttribute("href"));
	return assets(page).join() !== assets(document).join();
}

// change morphs the page and keeps the focus, or leaves it near to where it was.
function change(from, to) {
	const active = document.activeElement;
	morph(from, to);
	if (active === document.activeElement) return;
	(active.isConnected ? active : from).focus({ preventScroll: true });
}

// ---- sorting, filtering, paging

// go shows the same page with another query. When that fails the browser does it, and says why.
async function go(url) {
	history.replaceState(history.state, "", url);
	main.setAttribute("aria-busy", "true");
	try {
		if (!(await load(url))) return;
		settle();
		failures = 0;
		showLive();
		schedule(interval);
	} catch {
		location.assign(url);
	} finally {
		main.removeAttribute("aria-busy");
	}
}

// settle gives fields what the new page says, but for the one that is being used.
function settle() {
	for (const field of main.querySelectorAll("form[data-soft] :is(input, select)")) {
		if (field === document.activeElement) continue;
		if (field.type === "checkbox" || field.type === "radio") field.checked = field.defaultChecked;
		else if (field.tagName === "SELECT") for (const option of field.options) option.selected = option.defaultSelected;
		else field.value = field.defaultValue;
	}
}

const samePage = (url) => url.origin === location.origin && url.pathname === location.pathname;

function followSoftly(event) {
	const link = event.target.closest?.("a[data-soft]");
	if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
	const url = new URL(link.href);
	if (!samePage(url)) return;
	event.preventDefault();
	go(url);
	// The next page of a table begins at its top.
	if (link.closest("nav")) main.querySelector("table")?.scrollIntoView({ block: "nearest" });
}

// queryOf returns the URL a GET form leads to, without what is empty.
function queryOf(form, submitter) {
	const url = new URL(form.action);
	url.search = new URLSearchParams([...new FormData(form, submitter)].filter(([, value]) => value !== ""));
	return url;
}

function submitSoftly(event) {
	const form = event.target;
	if (!form.matches("form[data-soft]") || !samePage(queryOf(form, event.submitter))) return;
	event.preventDefault();
	clearTimeout(wordTimer);
	go(queryOf(form, event.submitter));
}

function filterSoftly(event) {
	const form = event.target.form;
	if (!form?.matches("form[data-soft]") || !samePage(queryOf(form))) return;
	clearTimeout(wordTimer);
	wordTimer = setTimeout(() => form.isConnected && go(queryOf(form)), typing);
}

// ---- what only a script can do

// enhance is done to what is shown and to what comes, so that they differ only in what is new.
function enhance(root) {
	for (const time of root.querySelectorAll("time[datetime]")) localize(time);
	for (const text of root.querySelectorAll("[data-copy]")) addCopyButton(text);
}

const clock = /^(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d \S+$/;
const inFull = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

// localize gives an instant the reader's time zone; what says how long ago it was stays, with
// the time as its title.
function localize(time) {
	const instant = new Date(time.dateTime);
	if (isNaN(instant)) return;
	const match = clock.exec(time.textContent.trim());
	if (match) {
		const local = new Date(instant - instant.getTimezoneOffset() * 60000).toISOString().slice(0, 19).replace("T", " ");
		time.textContent = match[1] ? local : local.slice(11);
	}
	time.title = inFull.format(instant);
}

function addCopyButton(text) {
	const button = document.createElement("button");
	button.type = "button";
	button.className = "copy";
	button.textContent = "Copy";
	button.setAttribute("aria-label", `Copy ${text.dataset.copy || "the command"}`);
	button.dataset.keep = "";
	text.after(button);
}

async function copy(event) {
	const button = event.target.closest?.("button.copy");
	if (!button) return;
	const text = button.previousElementSibling;
	try {
		await navigator.clipboard.writeText(text.textContent.trim());
		button.textContent = "Copied";
	} catch {
		// Without HTTPS there is no clipboard for scripts; the reader's own copying is one key away.
		getSelection().selectAllChildren(text);
		button.textContent = document.execCommand("copy") ? "Copied" : "Selected: press Ctrl+C";
	}
	setTimeout(() => (button.textContent = "Copy"), 2000);
}

const numberIn = (element) => Number(element.textContent.replace(/[^\d.-]/g, ""));
const targets = new WeakMap();

// run lets a number run from what it shows to what it is, in about the time until the next.
function run(element, target) {
	if (targets.get(element) === target) return; // it is on its way
	const shown = numberIn(element);
	const begin = performance.now();
	targets.set(element, target);
	const step = (now) => {
		if (targets.get(element) !== target) return; // there is a newer one
		const part = calm.matches ? 1 : Math.min(Math.max((now - begin) / interval, 0), 1);
		element.textContent = Math.round(shown + (target - shown) * part).toLocaleString("en-US");
		if (part < 1) requestAnimationFrame(step);
	};
	requestAnimationFrame(step);
}
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// ---- changing a tree in place

const keyOf = (node) => node.id || node.dataset?.key;

// morph turns one element into another, touching only what differs, so that focus, selection,
// scrolling, what was opened and what was typed stay.
export function morph(from, to) {
	if (from.isEqualNode(to)) return;
	if (from.nodeType !== Node.ELEMENT_NODE) {
		from.data = to.data;
		return;
	}
	if (from.matches("[data-keep], [data-live]")) return;
	morphAttributes(from, to);
	if (from.hasAttribute("data-counter")) run(from, numberIn(to));
	else morphChildren(from, to);
}

// ownAttributes are those that the user changes, or this script.
const ownAttributes = { DETAILS: ["open"], MAIN: ["aria-busy"] };

function morphAttributes(from, to) {
	const own = ownAttributes[from.tagName] ?? [];
	for (const { name, value } of to.attributes) {
		if (!own.includes(name) && from.getAttribute(name) !== value) from.setAttribute(name, value);
	}
	for (const { name } of [...from.attributes]) {
		if (!own.includes(name) && !to.hasAttribute(name)) from.removeAttribute(name);
	}
}

function morphChildren(from, to) {
	const wanted = new Set(Array.from(to.children, keyOf));
	const byKey = new Map();
	for (const child of [...from.children]) {
		const key = keyOf(child);
		if (key && wanted.has(key)) byKey.set(key, child);
		else if (key) child.remove();
	}
	let at = from.firstChild; // what comes before it is done
	const coming = [...to.childNodes];
	while (coming.length) {
		const next = coming.shift();
		const key = keyOf(next);
		while (at && !alike(at, next) && !byKey.has(keyOf(at)) && !expected(at, coming)) at = drop(at);
		const old = key ? byKey.get(key) : at;
		if (!alike(old, next)) {
			from.insertBefore(document.importNode(next, true), at);
			continue;
		}
		byKey.delete(key);
		if (old === at) at = at.nextSibling;
		else move(from, old, at);
		morph(old, next);
	}
	while (at) at = drop(at);
}

// alike reports whether one can become the other.
function alike(old, next) {
	return old?.nodeName === next.nodeName && keyOf(old) === keyOf(next);
}

// expected reports whether a node can become one of those to come; the space between elements
// is not worth keeping.
function expected(old, coming) {
	return !(old.nodeType === Node.TEXT_NODE && old.data.trim() === "") && coming.some((next) => alike(old, next));
}

function drop(node) {
	const next = node.nextSibling;
	node.remove();
	return next;
}

// move keeps the focus and running animations where the browser can.
function move(parent, node, before) {
	if (parent.moveBefore) parent.moveBefore(node, before);
	else parent.insertBefore(node, before);
}

start();
