// What a user would notice about a page, as a list of faults; run in the page by checks.go.
(() => {
	const faults = [];
	const lean = (text) => text.trim().replace(/\s+/g, " ").slice(0, 40);
	const where = (e) => `<${e.tagName.toLowerCase()}${e.id ? "#" + e.id : ""}${e.getAttribute("class") ? "." + e.getAttribute("class").replace(/ /g, ".") : ""}> ${JSON.stringify(lean(e.textContent))}`;

	// ---- contrast of text with what is behind it, whatever notation a colour has
	const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
	const known = new Map();
	const rgba = (colour) => {
		if (!known.has(colour)) {
			canvas.clearRect(0, 0, 1, 1);
			canvas.fillStyle = colour;
			canvas.fillRect(0, 0, 1, 1);
			const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
			known.set(colour, [r, g, b, a / 255]);
		}
		return known.get(colour);
	};
	const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
	const ground = (e) => {
		const layers = [];
		for (; e; e = e.parentElement) {
			const colour = rgba(getComputedStyle(e).backgroundColor);
			layers.push(colour);
			if (colour[3] === 1) break;
		}
		const canvasColour = getComputedStyle(document.documentElement).colorScheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
		return layers.reverse().reduce((below, top) => over(top, below), canvasColour);
	};
	const opacity = (e) => (e ? Number(getComputedStyle(e).opacity) * opacity(e.parentElement) : 1);
	const luminance = (colour) => {
		const [r, g, b] = colour.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const contrast = (a, b) => {
		const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
		return (high + 0.05) / (low + 0.05);
	};
	const legible = (e, colour, least, what) => {
		const behind = ground(e);
		const [r, g, b, a] = rgba(colour);
		const ratio = contrast(over([r, g, b, a * opacity(e)], behind), behind);
		if (ratio < least) faults.push(`contrast of ${what} is ${ratio.toFixed(2)}: ${where(e)}`);
	};
	const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0;
	const isSvg = (e) => e instanceof SVGElement;
	const done = new Set();
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const e = texts.currentNode.parentElement;
		if (!texts.currentNode.data.trim() || done.has(e) || !shown(e) || e.closest("title, desc, script, :disabled")) continue;
		done.add(e);
		const style = getComputedStyle(e);
		legible(e, isSvg(e) ? style.fill : style.color, 4.5, "text");
	}
	for (const e of document.querySelectorAll("input, select, textarea, button")) {
		if (!shown(e)) continue;
		legible(e, getComputedStyle(e).color, 4.5, "a field's text");
		if (e.placeholder) legible(e, getComputedStyle(e, "::placeholder").color, 4.5, "a placeholder");
	}
	// Lines that say something; a grid does not.
	for (const e of document.querySelectorAll("svg[role=img] :is(path, polyline, line)")) {
		const stroke = getComputedStyle(e).stroke;
		if (shown(e) && stroke !== "none" && !e.closest("[class*=grid], [class*=axis], [class*=base]")) legible(e, stroke, 3, "a line");
	}

	// ---- structure
	// A phone's innerWidth grows with what does not fit.
	const { scrollWidth, clientWidth } = document.documentElement;
	if (scrollWidth > clientWidth) {
		const wide = [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > clientWidth + 1);
		faults.push(`the page is ${scrollWidth} pixels wide, the window ${clientWidth}: ${wide.slice(-3).map(where)}`);
	}
	if (!document.documentElement.lang) faults.push("the page has no language");
	if (!document.title) faults.push("the page has no title");
	for (const one of ["main", "h1"]) {
		const n = document.querySelectorAll(one).length;
		if (n !== 1) faults.push(`the page has ${n} <${one}>`);
	}
	let level = 0;
	for (const h of document.querySelectorAll("h1, h2, h3, h4")) {
		const l = Number(h.tagName[1]);
		if (l > level + 1) faults.push(`a heading skips a level: ${where(h)}`);
		level = l;
	}
	const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
	for (const id of ids.filter((id, i) => ids.indexOf(id) < i)) faults.push(`two elements have the id ${id}`);
	for (const e of document.querySelectorAll("[style], style, [onclick]")) faults.push(`a style or handler in the page: ${where(e)}`);
	for (const table of document.querySelectorAll("table")) {
		if (!table.caption?.textContent.trim()) faults.push(`a table has no caption: ${where(table)}`);
		const heads = table.querySelectorAll("thead th");
		if (!heads.length && !table.querySelector("th[scope=row]")) faults.push(`a table has no heads: ${where(table)}`);
		for (const th of heads) {
			if (th.scope !== "col") faults.push(`the head of a column does not say so: ${where(th)}`);
			if (th.querySelector("a[data-soft]") && !th.hasAttribute("aria-sort")) faults.push(`a head that sorts has no aria-sort: ${where(th)}`);
		}
		if (table.querySelectorAll("[aria-sort=ascending], [aria-sort=descending]").length > 1) faults.push(`a table is sorted twice: ${where(table)}`);
		const columns = heads.length;
		for (const row of table.querySelectorAll("tbody tr")) {
			const cells = [...row.cells].reduce((n, c) => n + c.colSpan, 0);
			if (columns && cells !== columns) faults.push(`a row has ${cells} cells, the table ${columns} heads: ${where(row)}`);
		}
	}
	for (const e of document.querySelectorAll("a[href], img[src], script[src], link[href], form[action]")) {
		const url = new URL(e.href?.baseVal ?? e.href ?? e.src ?? e.action, location);
		if (url.origin !== location.origin) faults.push(`leads to another server: ${url}`);
	}
	return faults;
})()
