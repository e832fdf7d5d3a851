// What the browser's database takes by itself: a row for each edit, and all rows read by the page that comes next.
const database = await new Promise((resolve, reject) => {
	const request = indexedDB.open(`raw-${new URLSearchParams(location.search).get("room")}`, 1);
	request.onupgradeneeded = () => request.result.createObjectStore("updates", { autoIncrement: true });
	request.onsuccess = () => resolve(request.result);
	request.onerror = () => reject(request.error);
});
const word = new Uint8Array(24);

function put() {
	const transaction = database.transaction("updates", "readwrite");
	transaction.objectStore("updates").put(word);
	return transaction;
}

const rows = await new Promise((resolve, reject) => {
	const request = database.transaction("updates").objectStore("updates").getAll();
	request.onsuccess = () => resolve(request.result);
	request.onerror = () => reject(request.error);
});

globalThis.bench = {
	usable: performance.now(),
	length: () => rows.length * 4,
	async write(count) {
		for (let index = 0; index < count; index++) {
			const transaction = put();
			if (index % 1_000 !== 999 && index !== count - 1) continue;
			await new Promise((resolve, reject) => {
				transaction.oncomplete = resolve;
				transaction.onabort = () => reject(transaction.error);
			});
		}
	},
	edit: put,
};
