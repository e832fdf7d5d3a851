/**
 * Opening the database takes a browser as long as loading the engine does, so both begin at once. What is in the database
 * is the engine's business: this makes none, and changes nothing in one that is there.
 */

/** A handle for the engine to take over; `undefined` if there is no such database yet, or none can be opened. */
export function openEarly(name: string): Promise<IDBDatabase | undefined> {
	return new Promise((resolve) => {
		try {
			const request = indexedDB.open(name);
			request.onupgradeneeded = () => request.transaction?.abort();
			request.onsuccess = () => {
				const database = request.result;
				// Until the engine has it, nobody else is kept from deleting it.
				database.onversionchange = () => database.close();
				resolve(database);
			};
			request.onerror = (event) => {
				event.preventDefault();
				resolve(undefined);
			};
		} catch {
			// There is no IndexedDB, or it is forbidden here: the engine says so in its own words.
			resolve(undefined);
		}
	});
}
